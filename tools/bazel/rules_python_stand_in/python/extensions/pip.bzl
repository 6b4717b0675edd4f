"""The `pip` module extension: the lock file's distributions, and `@pypi` over them."""

load("//python/private:wheel.bzl", "hub", "wheel")

# rules_python's name for the hub over all hubs, which BUILD files use.
_HUB = "pypi"

def _lock(module_ctx):
    """The one lock file of the root module."""
    tags = [tag for module in module_ctx.modules if module.is_root for tag in module.tags.parse]
    if len(tags) != 1:
        fail("pip.parse must be called exactly once in MODULE.bazel, but there are {} calls".format(len(tags)))
    return tags[0].requirements_lock

def _pip_impl(module_ctx):
    lock = _lock(module_ctx)
    module_ctx.watch(lock)
    installation = json.decode(module_ctx.read(module_ctx.path(Label("@host_python//:installation.json"))))
    result = module_ctx.execute([
        installation["executable"],
        "-I",
        module_ctx.path(Label("@@//tools/bazel/wheels:lock_file.py")),
        module_ctx.path(lock),
    ])
    if result.return_code != 0:
        fail("{}: {}".format(lock, result.stderr.strip()))
    packages = {}
    for distribution in json.decode(result.stdout):
        repository = "{}__{}".format(_HUB, distribution["package"])
        packages[distribution["package"]] = repository
        wheel(
            name = repository,
            distribution = distribution["name"],
            extras = distribution["extras"],
            hub = _HUB,
            requirements = distribution["requirements"],
        )
    hub(
        name = _HUB,
        packages = packages,
    )
    return module_ctx.extension_metadata(reproducible = False)

pip = module_extension(
    doc = "Makes @pypi from one hashed requirements file.",
    implementation = _pip_impl,
    tag_classes = {
        "default": tag_class(
            doc = "Which hub @pypi stands for. There is one.",
            attrs = {"default_hub": attr.string()},
        ),
        "parse": tag_class(
            doc = "The lock file.",
            attrs = {
                "hub_name": attr.string(mandatory = True),
                "python_version": attr.string(),
                "requirements_lock": attr.label(mandatory = True),
            },
        ),
    },
)
