"""`py_grpc_library`: .proto files as a Python library with their gRPC stubs.

Uses the protoc of grpcio-tools, so that the code that is generated and the libraries that run it come
from one lock file, and no C++ is compiled.
"""

load("@rules_python//python:py_library.bzl", "py_library")

_SUFFIXES = {
    "py": ["_pb2.py", "_pb2_grpc.py"],
    "pyi": ["_pb2.pyi"],
}

def _generated_sources_impl(ctx):
    """Runs protoc once over all files of the package."""
    root = ctx.label.package
    outputs = {"py": [], "pyi": []}
    folders = {}
    for src in ctx.files.srcs:
        if not src.short_path.startswith(root + "/"):
            fail("{} lies outside {}, the include root".format(src.short_path, root))
        stem = src.short_path[len(root) + 1:].removesuffix(".proto")
        folders[stem.rpartition("/")[0]] = True
        for kind, suffixes in _SUFFIXES.items():
            outputs[kind] += [ctx.actions.declare_file(stem + suffix) for suffix in suffixes]
    for folder in folders:
        if not folder:
            fail("a .proto file must lie in a folder, which becomes its Python package")
        init = ctx.actions.declare_file(folder + "/__init__.py")
        ctx.actions.write(init, '"""Generated from the .proto files of //{}/{}."""\n'.format(root, folder))
        outputs["py"].append(init)

    out = "{}/{}".format(ctx.bin_dir.path, root)
    args = ctx.actions.args()
    args.add("--proto_path=" + root)
    args.add("--python_out=" + out)
    args.add("--pyi_out=" + out)
    args.add("--grpc_python_out=" + out)
    args.add_all(ctx.files.srcs)
    ctx.actions.run(
        executable = ctx.executable._protoc,
        arguments = [args],
        inputs = ctx.files.srcs,
        outputs = [file for kind in _SUFFIXES for file in outputs[kind] if file.basename != "__init__.py"],
        mnemonic = "PyGrpc",
        progress_message = "Generating Python from the .proto files of //" + root,
    )
    return [
        DefaultInfo(files = depset(outputs["py"])),
        OutputGroupInfo(pyi = depset(outputs["pyi"])),
    ]

_generated_sources = rule(
    implementation = _generated_sources_impl,
    attrs = {
        "srcs": attr.label_list(
            allow_files = [".proto"],
            mandatory = True,
        ),
        "_protoc": attr.label(
            cfg = "exec",
            default = Label("//tools/proto:protoc"),
            executable = True,
        ),
    },
)

def py_grpc_library(name, srcs, deps = [], visibility = None, **kwargs):
    """A Python library of messages and gRPC stubs: x_pb2, x_pb2_grpc, and x_pb2.pyi for type checkers.

    The package of this target is the include root and is on the import path: of folder/x.proto comes
    `from folder import x_pb2`, and another .proto file says `import "folder/x.proto"`.

    Args:
      name: the library.
      srcs: .proto files, each in a folder below this package.
      deps: further libraries; protobuf and grpcio are added.
      visibility: of the library.
      **kwargs: the rest of py_library's attributes.
    """
    sources = name + ".sources"
    _generated_sources(
        name = sources,
        srcs = srcs,
        tags = ["manual"],
        visibility = ["//visibility:private"],
    )
    stubs = name + ".pyi"
    native.filegroup(
        name = stubs,
        srcs = [sources],
        output_group = "pyi",
        tags = ["manual"],
        visibility = ["//visibility:private"],
    )
    py_library(
        name = name,
        srcs = [sources],
        data = [stubs],
        imports = ["."],
        visibility = visibility,
        deps = deps + [
            Label("@pypi//grpcio"),
            Label("@pypi//protobuf"),
        ],
        **kwargs
    )
