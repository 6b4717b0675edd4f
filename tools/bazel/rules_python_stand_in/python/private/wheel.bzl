"""One wheel as a repository, and the hub of aliases to all of them."""

_BUILD = """\
load("@rules_python//python:py_library.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "pkg",
    srcs = glob(["site-packages/**/*.py"], allow_empty = True),
    data = [":data"] + glob(
        ["site-packages/**"],
        allow_empty = True,
        exclude = ["**/*.py"],
    ),
    imports = ["site-packages"],
    deps = {deps},
)

filegroup(
    name = "data",
    srcs = glob(
        [
            "bin/**",
            "data/**",
            "include/**",
        ],
        allow_empty = True,
    ),
)

filegroup(
    name = "dist_info",
    srcs = glob(["site-packages/*.dist-info/**"], allow_empty = True),
)
"""

def _wheel_impl(rctx):
    installation = json.decode(rctx.read(rctx.attr._installation))
    rctx.watch(rctx.attr._wheel_files)
    rctx.file("requirements.txt", "\n".join(rctx.attr.requirements) + "\n", executable = False)
    result = rctx.execute(
        [
            installation["executable"],
            "-I",
            rctx.path(rctx.attr._fetch_wheel),
            "--name=" + rctx.attr.distribution,
            "--pip=" + installation["pip"],
            "--requirements=requirements.txt",
            "--extras=" + ",".join(rctx.attr.extras),
        ],
        timeout = 1200,
    )
    rctx.delete("requirements.txt")
    if result.return_code != 0:
        fail("could not fetch {}:\n{}".format(rctx.attr.distribution, result.stderr.strip()))
    deps = ["@{}//{}".format(rctx.attr.hub, name) for name in json.decode(result.stdout)]
    rctx.file(
        "BUILD.bazel",
        _BUILD.format(deps = json.encode_indent(deps, prefix = "    ", indent = "    ")),
        executable = False,
    )

wheel = repository_rule(
    doc = """One distribution of the lock file, fetched by pip and checked against its hashes.

What is in it depends on the wheel's bytes alone. The user's own pip configuration (index, proxy,
certificates) is honoured while it is fetched, through the environment, and leaves no trace.""",
    implementation = _wheel_impl,
    attrs = {
        "distribution": attr.string(
            doc = "Its name, for messages.",
            mandatory = True,
        ),
        "extras": attr.string_list(doc = "Extras of it that the lock asks for."),
        "hub": attr.string(
            doc = "Name of the hub repository, where what it needs is found.",
            mandatory = True,
        ),
        "requirements": attr.string_list(
            doc = "Its lines of the lock, with markers and hashes. The one whose marker holds is fetched.",
            mandatory = True,
        ),
        "_fetch_wheel": attr.label(default = "@@//tools/bazel/wheels:fetch_wheel.py"),
        "_installation": attr.label(default = "@host_python//:installation.json"),
        # Imported by fetch_wheel.py; watched, so that a change of it fetches again.
        "_wheel_files": attr.label(default = "@@//tools/bazel/wheels:wheel_files.py"),
    },
)

_HUB_PACKAGE = """\
package(default_visibility = ["//visibility:public"])

alias(
    name = "{name}",
    actual = "@{repository}//:pkg",
)

alias(
    name = "pkg",
    actual = "@{repository}//:pkg",
)

alias(
    name = "data",
    actual = "@{repository}//:data",
)

alias(
    name = "dist_info",
    actual = "@{repository}//:dist_info",
)
"""

def _hub_impl(rctx):
    rctx.file("BUILD.bazel", "", executable = False)
    for name, repository in rctx.attr.packages.items():
        rctx.file(
            name + "/BUILD.bazel",
            _HUB_PACKAGE.format(name = name, repository = repository),
            executable = False,
        )
    rctx.file("requirements.bzl", """\
\"\"\"Labels of the wheels by the names of their distributions.\"\"\"

def requirement(name):
    return str(Label("//" + name.replace("-", "_").replace(".", "_").lower()))
""", executable = False)

hub = repository_rule(
    doc = "Aliases: //name is the library of the wheel of that name.",
    implementation = _hub_impl,
    attrs = {
        "packages": attr.string_dict(
            doc = "Package name in the hub -> name of the wheel's repository.",
            mandatory = True,
        ),
    },
)
