"""Byte code of a library, compiled once instead of at every start of a program.

A program in a sandbox can keep no byte code, so each test, and each process that a test starts, would
compile the same modules anew: for a controller that is half of the time it takes to start.
"""

load("@host_python//:cache_tag.bzl", "CACHE_TAG")

_TOOLCHAIN = "@bazel_tools//tools/python:toolchain_type"

def _byte_code_impl(ctx):
    runtime = ctx.toolchains[_TOOLCHAIN].py3_runtime
    package = ctx.label.package + "/" if ctx.label.package else ""
    args = ctx.actions.args()
    args.add("-I")
    args.add(ctx.file._compile)
    sources, outputs = [], []
    for source in ctx.files.srcs:
        if source.extension != "py" or not source.short_path.startswith(package):
            continue
        folder, _, name = source.short_path.removeprefix(package).rpartition("/")
        output = ctx.actions.declare_file("{}__pycache__/{}.{}.pyc".format(
            folder + "/" if folder else "",
            name.removesuffix(".py"),
            CACHE_TAG,
        ))
        args.add_all([source.path, source.short_path, output.path])
        sources.append(source)
        outputs.append(output)
    if outputs:
        ctx.actions.run(
            executable = runtime.interpreter,
            arguments = [args],
            inputs = depset(sources + [ctx.file._compile], transitive = [runtime.files]),
            outputs = outputs,
            mnemonic = "PyByteCode",
            progress_message = "Compiling %{label}",
        )
    return [DefaultInfo(files = depset(outputs), runfiles = ctx.runfiles(outputs))]

_byte_code = rule(
    doc = "A .pyc for each .py file in `srcs`, where Python looks for it: in __pycache__ beside it.",
    implementation = _byte_code_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = True),
        "_compile": attr.label(
            allow_single_file = True,
            default = Label("//python/private:compile_byte_code.py"),
        ),
    },
    toolchains = [_TOOLCHAIN],
)

def byte_code(name, srcs, testonly):
    """Makes the byte code of those sources of a library that no library before it in the package has.

    Args:
      name: the library.
      srcs: its sources.
      testonly: whether it is.

    Returns:
      Labels for its `data`.
    """

    # Wheels bring theirs (see fetch_wheel.py).
    if native.repo_name():
        return []
    taken = {
        source.removeprefix(":"): True
        for rule in native.existing_rules().values()
        if rule["kind"] == "_byte_code"
        for source in rule["srcs"]
    }
    own = [source for source in srcs if source.removeprefix(":") not in taken]
    if not own:
        return []
    target = name + ".byte_code"
    _byte_code(
        name = target,
        srcs = own,
        testonly = testonly,
        visibility = ["//visibility:private"],
    )
    return [target]
