"""`workspace_bundle`: targets of the workspace as a bundle that jobs can run from."""

load("@rules_python//python:py_info.bzl", "PyInfo")

_PackedInfo = provider(
    doc = "What of a target goes into a bundle.",
    fields = {"files": "depset of File"},
)

def _packed_files_impl(target, ctx):
    """Collects what a target consists of, not what the build makes around it to run it here.

    A Python target is its sources, its data and those of what it depends on. (Its own outputs would be
    launchers and virtual environments, which start nothing elsewhere.) Of anything else it is what
    the target gives to others.
    """
    if target.label.workspace_name:
        return [_PackedInfo(files = depset())]
    is_group = ctx.rule.kind == "filegroup" and not ctx.rule.attr.output_group
    if PyInfo not in target and not is_group:
        info = target[DefaultInfo]
        return [_PackedInfo(files = depset(transitive = [info.files, info.default_runfiles.files]))]
    files = []
    for name in ["srcs", "data", "deps"]:
        for part in getattr(ctx.rule.attr, name, []):
            files.append(part[_PackedInfo].files if _PackedInfo in part else part[DefaultInfo].files)
    return [_PackedInfo(files = depset(transitive = files))]

_packed_files = aspect(
    implementation = _packed_files_impl,
    attr_aspects = [
        "data",
        "deps",
        "srcs",
    ],
)

def _manifest_line(file):
    return "%s\t%s" % (file.short_path, file.path)

def _workspace_bundle_impl(ctx):
    files = depset(transitive = [
        src[_PackedInfo].files if _PackedInfo in src else src[DefaultInfo].files
        for src in ctx.attr.srcs
    ])
    packed = [
        file
        for file in files.to_list()
        # Byte code is for one interpreter, and Python makes it anew.
        if not file.short_path.startswith("../") and "/__pycache__/" not in file.short_path
    ]

    archive = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    digest = ctx.actions.declare_file(ctx.label.name + ".digest")
    manifest = ctx.actions.args()
    manifest.set_param_file_format("multiline")
    manifest.use_param_file("--manifest=%s", use_always = True)
    manifest.add_all(packed, map_each = _manifest_line)
    args = ctx.actions.args()
    args.add(archive, format = "--archive=%s")
    args.add(digest, format = "--digest=%s")
    args.add("--label=//{}:{}".format(ctx.label.package, ctx.label.name))
    ctx.actions.run(
        executable = ctx.executable._pack,
        arguments = [args, manifest],
        inputs = packed,
        outputs = [archive, digest],
        mnemonic = "WorkspaceBundle",
        progress_message = "Packing %{label}",
    )
    return [
        DefaultInfo(
            files = depset([archive]),
            runfiles = ctx.runfiles([archive, digest]),
        ),
        OutputGroupInfo(digest = depset([digest])),
    ]

workspace_bundle = rule(
    doc = """Packs targets, and what of the workspace they need to run, into a bundle.

In the bundle each file has the path that it has in the workspace. What is in it: sources, data and
generated code of the targets and of all they depend on, but nothing of other repositories: wheels are
a matter of the environment, and the interpreter of the machine that runs it.

The same files give the same bytes wherever and by whom they are packed. As permissions of source files
are in no cache key, a file is made executable if it begins as a program does (`#!`, ELF, Mach-O).

Outputs: <name>.tar.gz, which is what `$(rootpath)` of the target names, and beside it in the runfiles
and in the output group `digest` <name>.digest, a line with the content's digest, "sha256:<hex>".""",
    implementation = _workspace_bundle_impl,
    attrs = {
        "srcs": attr.label_list(
            doc = "What to pack.",
            allow_files = True,
            aspects = [_packed_files],
            mandatory = True,
        ),
        "_pack": attr.label(
            cfg = "exec",
            default = Label("//tools/bundle:pack"),
            executable = True,
        ),
    },
)
