"""`self_contained`: Python libraries with all that they need, in one file that runs by itself."""

load("@rules_python//python:py_info.bzl", "PyInfo")

_SITE_PACKAGES = "/site-packages/"

# The one program of a wheel that Iris runs.
_PROGRAMS = ["/bin/uv"]

def _runfiles_path(file, workspace):
    if file.short_path.startswith("../"):
        return file.short_path.removeprefix("../")
    return workspace + "/" + file.short_path

def _place(path, imports, workspace):
    """Where a file of the runfiles goes, or None if it is not needed there."""
    if _SITE_PACKAGES in path:
        return "site/" + path.partition(_SITE_PACKAGES)[2]
    for program in _PROGRAMS:
        if path.endswith(program):
            return program[1:]
    if not path.startswith(workspace + "/"):
        return None
    for folder in imports:
        if path.startswith(folder + "/"):
            return "site/" + path.removeprefix(folder + "/")
    return "site/" + path.removeprefix(workspace + "/")

def _self_contained_impl(ctx):
    workspace = ctx.workspace_name
    runfiles = depset(transitive = [dep[DefaultInfo].default_runfiles.files for dep in ctx.attr.deps])
    imports = depset(transitive = [dep[PyInfo].imports for dep in ctx.attr.deps]).to_list()

    # The deepest first. The workspace's own, "_main", is the last resort.
    imports = sorted([i for i in imports if i.startswith(workspace + "/")], reverse = True)
    lines, files = [], []
    for file in runfiles.to_list():
        place = _place(_runfiles_path(file, workspace), imports, workspace)
        if place:
            lines.append("%s\t%s" % (place, file.path))
            files.append(file)

    manifest = ctx.actions.declare_file(ctx.label.name + ".manifest")
    ctx.actions.write(manifest, "\n".join(sorted(lines)) + "\n")
    archive = ctx.actions.declare_file(ctx.attr.out)
    args = ctx.actions.args()
    args.add(manifest, format = "--manifest=%s")
    args.add(archive, format = "--archive=%s")
    ctx.actions.run(
        executable = ctx.executable._pack,
        arguments = [args],
        inputs = files + [manifest],
        outputs = [archive],
        mnemonic = "SelfContained",
        progress_message = "Packing %{label}",
    )
    return [DefaultInfo(files = depset([archive]), runfiles = ctx.runfiles([archive]))]

self_contained = rule(
    doc = """Iris as one file that `python3` of the same minor version, on the same kind of machine, can run.

In it are the libraries, all that they depend on, and the wheels with their shared libraries; neither an
interpreter nor the standard library. The same inputs give the same bytes.""",
    implementation = _self_contained_impl,
    attrs = {
        "deps": attr.label_list(
            doc = "What the programs of iris/ship/inside/run.py need.",
            mandatory = True,
            providers = [PyInfo],
        ),
        "out": attr.string(
            doc = "Name of the file.",
            mandatory = True,
        ),
        "_pack": attr.label(
            cfg = "exec",
            default = Label("//tools/ship:pack"),
            executable = True,
        ),
    },
)
