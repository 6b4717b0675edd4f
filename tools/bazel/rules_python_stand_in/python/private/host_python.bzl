"""The machine's own CPython as a repository with a Python toolchain in it.

The repository is a virtual environment with an empty site-packages: `bin/python3` is a link to the
real interpreter, `pyvenv.cfg` beside it names where that one is installed. Whoever runs it, as
toolchain or as `sys.executable` of a program that was started with it, gets the standard library
and nothing that was installed next to it.

What decides what a program does is in files of the runtime, and so in the key of every action that
runs it: the interpreter's bytes, and its exact version and build (interpreter.json).
"""

# Versions that the lock file has wheels for.
SUPPORTED_VERSIONS = ["3.13", "3.12", "3.11"]

_BUILD = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

exports_files(["installation.json", "interpreter.json"])

py_runtime(
    name = "runtime",
    bootstrap_template = "@rules_python//python/private:bootstrap.sh.template",
    files = [
        "interpreter.json",
        "pyvenv.cfg",
        "run_main.py",
    ],
    interpreter = "bin/python3",
    python_version = "PY3",
    stub_shebang = "#!/bin/sh",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

def _candidates(rctx):
    """Programs on PATH that may be a Python, the wanted version first, each once."""
    chosen = rctx.os.environ.get("IRIS_PYTHON")
    if chosen:
        return [chosen]
    versions = [rctx.attr.python_version] + [v for v in SUPPORTED_VERSIONS if v != rctx.attr.python_version]
    names = ["python" + versions[0], "python3"] + ["python" + version for version in versions[1:]]
    found = {}
    for name in names:
        for folder in rctx.os.environ.get("PATH", "").split(":"):
            if folder.startswith("/"):
                program = rctx.path(folder).get_child(name)
                if program.exists:
                    found[str(program)] = True
    return found.keys()

def _probe(rctx, program):
    """What a program says of itself: a struct (see describe_python.py), or why it will not do."""
    result = rctx.execute(
        [program, "-I", rctx.path(rctx.attr._describe_python)],
        timeout = 60,
    )
    if result.return_code != 0:
        return None, "does not start: " + (result.stderr.strip().split("\n")[-1] or "no message")
    python = json.decode(result.stdout)
    if python["minor_version"] not in SUPPORTED_VERSIONS:
        return None, "is Python {}".format(python["version"])
    if not python["pip"]:
        return None, "is Python {} without pip".format(python["version"])
    return python, None

def _choose(rctx):
    """The first candidate of the wanted version, else the first that will do."""
    fallback = None
    refused = []
    for program in _candidates(rctx):
        python, problem = _probe(rctx, program)
        if problem:
            refused.append("  {} {}".format(program, problem))
        elif python["minor_version"] == rctx.attr.python_version:
            return python
        elif not fallback:
            fallback = python
    if fallback:
        return fallback
    fail("\n".join([
        "Python {} or newer with pip is needed, and none was found on PATH.".format(SUPPORTED_VERSIONS[-1]),
        "Install it (Debian, Ubuntu: python3 python3-pip), or name one with --repo_env=IRIS_PYTHON=/path/to/python3.",
    ] + (["Looked at:"] + refused if refused else [])))

def _host_python_impl(rctx):
    python = _choose(rctx)
    rctx.watch(python["executable"])
    rctx.symlink(python["executable"], "bin/python3")
    rctx.file("pyvenv.cfg", "home = {}\ninclude-system-site-packages = false\nversion = {}\n".format(
        python["home"],
        python["version"],
    ), executable = False)
    rctx.file("interpreter.json", json.encode_indent(python["identity"], indent = "  ") + "\n", executable = False)

    rctx.file(
        "cache_tag.bzl",
        'CACHE_TAG = "cpython-{}"\n'.format(python["minor_version"].replace(".", "")),
        executable = False,
    )

    # For the repository rules that run pip; not in the runtime's files, so in no action's key.
    rctx.file("installation.json", json.encode({
        "executable": python["executable"],
        "pip": python["pip"],
    }), executable = False)
    rctx.symlink(rctx.attr._run_main, "run_main.py")
    rctx.file("BUILD.bazel", _BUILD, executable = False)

host_python = repository_rule(
    doc = "Finds a CPython of a supported version with pip on PATH; looks through shims and virtual environments.",
    implementation = _host_python_impl,
    attrs = {
        "python_version": attr.string(
            doc = "The preferred version, as 3.11.",
            mandatory = True,
        ),
        "_describe_python": attr.label(default = "@@//tools/bazel/wheels:describe_python.py"),
        "_run_main": attr.label(default = "//python/private:run_main.py"),
    },
    configure = True,
    environ = ["IRIS_PYTHON"],
    local = True,
)
