"""Tests that every .proto file became a Python module, and that ours get in nobody's way."""

import importlib
import os
import pathlib
import re
import subprocess
import sys

import grpc
import iris_proto
import pytest
from absl import flags
from google.protobuf import descriptor_pool, message_factory

_PROTOS = flags.DEFINE_multi_string("proto", [], "The .proto files of the library.")


def stems() -> list[str]:
    found = [pathlib.Path(path).stem for path in _PROTOS.value]
    assert found, "the target names no .proto file"
    return found


def test_messages_can_be_imported_and_made() -> None:
    made = 0
    for stem in stems():
        module = importlib.import_module(f"iris_proto.{stem}_pb2")
        for descriptor in module.DESCRIPTOR.message_types_by_name.values():
            message = message_factory.GetMessageClass(descriptor)()
            assert type(message).FromString(message.SerializeToString()) == message
            made += 1
    assert made > 0


def test_services_have_stubs_and_servicers() -> None:
    services = 0
    for path in map(pathlib.Path, _PROTOS.value):
        module = importlib.import_module(f"iris_proto.{path.stem}_pb2_grpc")
        for service in re.findall(r"^service (\w+)", path.read_text(), re.MULTILINE):
            with grpc.insecure_channel("unix:/nobody-listens-here") as channel:
                stub = getattr(module, f"{service}Stub")(channel)
            methods = importlib.import_module(f"iris_proto.{path.stem}_pb2").DESCRIPTOR
            for method in methods.services_by_name[service].methods:
                assert callable(getattr(stub, method.name))
                assert hasattr(getattr(module, f"{service}Servicer"), method.name)
            services += 1
    assert services > 0


def test_every_file_is_registered_under_the_name_that_other_files_import() -> None:
    for stem in stems():
        importlib.import_module(f"iris_proto.{stem}_pb2")
        name = f"iris_proto/{stem}.proto"
        assert descriptor_pool.Default().FindFileByName(name).name == name


@pytest.mark.parametrize("suffix", ["_pb2.py", "_pb2_grpc.py", "_pb2.pyi"])
def test_modules_lie_beside_their_stubs(suffix: str) -> None:
    folder = pathlib.Path(iris_proto.__file__).parent
    assert sorted(stems()) == sorted(
        path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}")
    )


def test_no_package_of_ours_is_called_proto(tmp_path: pathlib.Path) -> None:
    # proto-plus, which Google's clients bring, is imported as `proto`. The folder proto/ of this
    # project may be a namespace package of that name, which a real package of the name overrules
    # wherever it comes in the path; a regular package of ours would not give way. (In a process of
    # its own, since pytest imported this very file as proto.iris_proto_test.)
    package = tmp_path / "proto"
    package.mkdir()
    (package / "__init__.py").write_text("PROTO_PLUS = True\n")
    result = subprocess.run(
        [sys.executable, "-c", "import iris_proto.job_pb2, proto; print(proto.PROTO_PLUS)"],
        env={"PYTHONPATH": os.pathsep.join([*sys.path, str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "True\n", result.stderr
