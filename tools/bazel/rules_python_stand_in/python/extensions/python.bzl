"""The `python` module extension: which CPython the toolchain is."""

load("//python/private:host_python.bzl", "host_python")

_DEFAULT_VERSION = "3.11"

def _python_impl(module_ctx):
    version = None
    for module in module_ctx.modules:
        if not module.is_root:
            continue
        for tag in module.tags.toolchain:
            version = version or tag.python_version
        for tag in module.tags.defaults:
            version = tag.python_version or version
    host_python(
        name = "host_python",
        python_version = version or _DEFAULT_VERSION,
    )
    return module_ctx.extension_metadata(reproducible = False)

python = module_extension(
    doc = "Makes @host_python, which this module registers as the Python toolchain.",
    implementation = _python_impl,
    tag_classes = {
        "defaults": tag_class(
            doc = "The version of targets that name none.",
            attrs = {"python_version": attr.string(mandatory = True)},
        ),
        "toolchain": tag_class(
            doc = "A version to have. The machine has the one it has: the default is preferred to others.",
            attrs = {"python_version": attr.string(mandatory = True)},
        ),
    },
)
