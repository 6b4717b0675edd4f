"""`@workspace_sources`: every source file of some kind in the workspace, across all packages.

A glob ends where another package begins, so no target can see all files; a test over all of them
(lint, the import graph) would have to be told of each package, and would pass while one is forgotten.
This repository has no packages of its own: the workspace's folders are watched, and its one target
names links to what is in them. Being inputs like any other, they are in the tests' cache keys.
"""

_BUILD = """\
exports_files({configuration})

filegroup(
    name = "python",
    srcs = {files},
    visibility = ["//visibility:public"],
)

filegroup(
    name = "build_files",
    srcs = {build_files},
    visibility = ["//visibility:public"],
)

filegroup(
    name = "flag_files",
    srcs = {flag_files},
    visibility = ["//visibility:public"],
)
"""

# Deeper than any folder of the project, more entries than it will have.
_MAX_FOLDERS = 100000

def _is_passed_over(name):
    return name.startswith(".") or name.startswith("bazel-") or name in ["__pycache__", "node_modules"]

def _workspace_sources_impl(rctx):
    root = rctx.path(Label("@@//:MODULE.bazel")).dirname
    found = []
    build_files = []
    pending = []
    for folder in rctx.attr.folders:
        path = root.get_child(folder)
        if path.exists:
            rctx.watch_tree(path)
            pending.append((folder, path))
        else:
            rctx.watch(path)
    for _ in range(_MAX_FOLDERS):
        if not pending:
            break
        folder, path = pending.pop()
        for child in path.readdir():
            name = folder + "/" + child.basename
            if _is_passed_over(child.basename):
                continue
            if child.is_dir:
                pending.append((name, child))
            elif name.endswith(".py"):
                rctx.symlink(child, name)
                found.append(name)
            elif child.basename in ["BUILD", "BUILD.bazel"] or name.endswith(".bzl"):
                # Under its own name it would make a package of the folder.
                rctx.symlink(child, name + ".txt")
                build_files.append(name + ".txt")
    for name in rctx.attr.configuration:
        rctx.symlink(root.get_child(name), name)
        found.append(name)
    for name in rctx.attr.flag_files:
        rctx.symlink(root.get_child(name), name)
    rctx.file(
        "BUILD.bazel",
        _BUILD.format(
            configuration = json.encode(rctx.attr.configuration),
            build_files = json.encode_indent(sorted(build_files)),
            flag_files = json.encode(rctx.attr.flag_files),
            files = json.encode_indent(sorted(found)),
        ),
        executable = False,
    )

_workspace_sources = repository_rule(
    implementation = _workspace_sources_impl,
    attrs = {
        "configuration": attr.string_list(doc = "Files in the root that go with them."),
        "flag_files": attr.string_list(doc = "Files that say how Bazel is called."),
        "folders": attr.string_list(
            doc = "Folders in the root with sources.",
            mandatory = True,
        ),
    },
    local = True,
)

def _extension_impl(module_ctx):
    for module in module_ctx.modules:
        for tag in module.tags.python:
            _workspace_sources(
                name = "workspace_sources",
                configuration = tag.configuration,
                flag_files = tag.flag_files,
                folders = tag.folders,
            )
    return module_ctx.extension_metadata(reproducible = True)

workspace_sources = module_extension(
    implementation = _extension_impl,
    tag_classes = {
        "python": tag_class(
            doc = "Makes @workspace_sources//:python, :build_files and :flag_files.",
            attrs = {
                "configuration": attr.string_list(),
                "flag_files": attr.string_list(),
                "folders": attr.string_list(mandatory = True),
            },
        ),
    },
)
