"""Google Cloud's metadata, from a real HTTP server on loopback that answers as its does."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from iris.worker.environment.gce import GceProbe, found_in, parse_tpu_env
from iris.worker.environment.probe import Found

TPU_ENV = """\
ACCELERATOR_TYPE: 'v4-16'
CHIPS_PER_HOST_BOUNDS: '2,2,1'
NODE_ID: 'trainer'
TOPOLOGY: '2x2x2'
WORKER_ID: '1'
ZONE: 'us-central2-b'
"""
VM = {
    "zone": "projects/123456/zones/us-central2-b",
    "name": "t1v-n-0a1b2c3d-w-1",
    "scheduling/preemptible": "TRUE",
}
TPU = VM | {
    "attributes/accelerator-type": "v4-16",
    "attributes/agent-worker-number": "1",
    "attributes/tpu-env": TPU_ENV,
}
WHERE = {"zone": "us-central2-b", "region": "us-central2", "instance": "t1v-n-0a1b2c3d-w-1"}


@contextmanager
def metadata_server(said: Mapping[str, str], flavor: str = "Google") -> Iterator[str]:
    """Its address. As the real one, it answers only those who show that they mean it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            value = said.get(self.path.removeprefix("/computeMetadata/v1/instance/"))
            status = 200 if value is not None else 404
            if self.headers["Metadata-Flavor"] != "Google":
                status = 403
            body = (value or "").encode()
            self.send_response(status)
            self.send_header("Metadata-Flavor", flavor)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        log_message: Callable[..., None] = lambda *_: None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


async def test_a_vm_of_a_tpu() -> None:
    with metadata_server(TPU) as address:
        found = await GceProbe(address).look()
    assert found == Found(
        (("tpu/v4-16", 4),),
        WHERE
        | {
            "preemptible": "true",
            "tpu-name": "trainer",
            "tpu-worker-id": "1",
            "tpu-topology": "2x2x2",
        },
    )


async def test_a_vm_without_one() -> None:
    with metadata_server(VM | {"scheduling/preemptible": "FALSE"}) as address:
        found = await GceProbe(address).look()
    assert found == Found((), WHERE | {"preemptible": "false"})


async def test_another_server_is_not_believed() -> None:
    with metadata_server(TPU, flavor="Somebody") as address:
        assert await GceProbe(address).look() == Found()


async def test_nobody_there() -> None:
    with metadata_server(TPU) as address:
        pass
    assert await GceProbe(address).look() == Found()
    assert await GceProbe("http://no-such-host.invalid").look() == Found()


async def test_somebody_who_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert await GceProbe(address, call_seconds=0.1).look() == Found()
        assert await GceProbe(address, call_seconds=2, seconds=0.1).look() == Found()


async def test_somebody_who_speaks_otherwise() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example.com ESMTP\r\n")

        greeting = threading.Thread(target=greet)
        greeting.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert await GceProbe(address).look() == Found()
        greeting.join()


def test_the_environment_of_a_tpu_alone_is_enough() -> None:
    found = found_in(VM | {"attributes/tpu-env": TPU_ENV})
    assert found.accelerators == (("tpu/v4-16", 4),)
    assert found.attributes["tpu-worker-id"] == "1"
    assert found_in(TPU | {"attributes/tpu-env": ""}).attributes["tpu-topology"] == "2x2x2"


def test_a_tpu_that_is_not_known_is_told() -> None:
    found = found_in(TPU | {"attributes/accelerator-type": "v99-8"})
    assert found.accelerators == ()
    assert found.attributes["zone"] == "us-central2-b"
    assert "'v99-8' is no TPU type that Iris knows" in found.problem


def test_lines_of_tpu_env() -> None:
    assert dict(parse_tpu_env(TPU_ENV))["CHIPS_PER_HOST_BOUNDS"] == "2,2,1"
    assert list(parse_tpu_env("A: ''\nB: plain\nC: \"d\"\n# no\n\n: x")) == [
        ("A", ""),
        ("B", "plain"),
        ("C", "d"),
    ]
