"""protoc with the Python and gRPC plugins and the well-known types, from grpcio-tools.

Takes protoc's own arguments; the folder with google/protobuf/*.proto is added to the search path.
"""

import pathlib
import sys

import grpc_tools
from grpc_tools import protoc


def main() -> int:
    """Runs protoc and returns its exit code."""
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    return int(protoc.main([*sys.argv, f"--proto_path={well_known}"]))


if __name__ == "__main__":
    sys.exit(main())
