"""Connections to real SSH servers on this machine."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.processes import ProcessIdentity, descendants
from iris.model.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    IrisError,
    PermissionDenied,
    Unavailable,
)
from iris.ssh import SshClient, SshConnection, SshOptions
from iris.testing.eventually import assert_eventually
from iris.testing.leaks import LeakCheck
from iris.testing.ssh_hosts import SshHost, SshHosts, make_key, ssh_is_here

pytestmark = pytest.mark.skipif(not ssh_is_here(), reason="this machine has no sshd")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHosts]:
    with SshHosts(tmp_path_factory.mktemp("ssh"), 1) as made:
        yield made


@pytest.fixture
def host(hosts: SshHosts) -> SshHost:
    return hosts.hosts[0]


@pytest.fixture
def options(hosts: SshHosts) -> SshOptions:
    return SshOptions(config_file=str(hosts.config_file), connect_timeout=timedelta(seconds=10))


@pytest.fixture
async def client() -> AsyncIterator[SshClient]:
    async with SshClient() as client:
        yield client


@pytest.fixture
async def connection(client: SshClient, options: SshOptions) -> SshConnection:
    return await client.connect("host0", options)


@pytest.mark.parametrize("status", [0, 1, 77, 254, 255])
async def test_a_status_is_the_command_s_own(connection: SshConnection, status: int) -> None:
    done = await connection.run(f"echo out; printf err >&2; exit {status}")
    assert (done.status, done.stdout, done.stderr) == (status, b"out\n", b"err")


async def test_death_by_signal_is_told_from_a_broken_connection(connection: SshConnection) -> None:
    assert (await connection.run("kill -9 $$")).status == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    "word", ["a b", "'", '"', "$HOME", "`id`", "\\", "a\nb", "*", "", "-n", "ü"]
)
async def test_words_arrive_as_they_are(connection: SshConnection, word: str) -> None:
    done = await connection.run(["printf", "%s|", word, "end"])
    assert done.stdout.decode() == f"{word}|end|"


async def test_much_goes_both_ways_at_once(connection: SshConnection) -> None:
    data = os.urandom(1 << 20) * 5
    assert (await connection.run(["cat"], stdin=data)).stdout == data


async def test_what_a_command_does_not_read_does_no_harm(connection: SshConnection) -> None:
    assert (await connection.run("exit 3", stdin=b"x" * (4 << 20))).status == 3


async def test_output_comes_line_by_line_while_it_runs(connection: SshConnection) -> None:
    async with connection.process("echo ready; read line; echo got $line") as process:
        lines = process.lines()
        assert await anext(lines) == b"ready"
        await process.write(b"hello\n")
        assert await anext(lines) == b"got hello"
        assert await process.wait() == (0, b"", b"")


async def test_a_deadline_ends_the_wait(connection: SshConnection) -> None:
    with pytest.raises(DeadlineExceeded, match=r"`sleep 60` did not end on host0 within 0.05 s"):
        await connection.run("sleep 60", timeout=timedelta(seconds=0.05))


async def test_many_commands_at_once(connection: SshConnection) -> None:
    done = await asyncio.gather(*(connection.run(f"echo {n}") for n in range(30)))
    assert [one.stdout for one in done] == [f"{n}\n".encode() for n in range(30)]


async def test_failure_says_the_last_line(connection: SshConnection) -> None:
    done = await connection.run("echo first >&2; echo no such thing >&2; exit 4")
    with pytest.raises(
        FailedPrecondition, match=r"Looking failed on host0 \(exit status 4\): no such"
    ):
        done.require("Looking")


async def test_files_are_put_whole_and_once(
    connection: SshConnection, host: SshHost, tmp_path: Path
) -> None:
    local, remote = tmp_path / "f", host.home / "made here" / "f"
    local.write_bytes(os.urandom(3_000_000))
    assert await connection.put(local, str(remote), mode=0o755)
    assert remote.read_bytes() == local.read_bytes()
    assert remote.stat().st_mode & 0o777 == 0o755
    inode = remote.stat().st_ino
    assert not await connection.put(local, str(remote))
    assert remote.stat().st_ino == inode
    assert remote.stat().st_mode & 0o777 == 0o700
    local.write_bytes(b"other")
    assert await connection.put(local, str(remote))
    assert remote.read_bytes() == b"other"
    assert list(remote.parent.iterdir()) == [remote]


async def test_a_file_that_cannot_be_put_says_why(
    connection: SshConnection, host: SshHost, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("x")
    (host.home / "file").write_text("")
    with pytest.raises(FailedPrecondition, match=r"Putting f at .*/file/f failed on host0.*"):
        await connection.put(tmp_path / "f", str(host.home / "file" / "f"))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"echo " + await reader.readline())
    writer.close()


async def test_a_socket_there_leads_here_and_a_stale_one_is_replaced(
    connection: SshConnection, host: SshHost, short_tmp_path: Path
) -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = short_tmp_path / "d" / "s"
    there.parent.mkdir()
    there.write_text("stale")
    async with server, connection.remote_forward(str(there), f"127.0.0.1:{port}") as dial:
        assert dial == str(there)
        reader, writer = await asyncio.open_unix_connection(dial)
        writer.write(b"hello\n")
        assert await reader.readline() == b"echo hello\n"
        writer.close()
    assert not there.exists()


async def test_ports_are_forwarded_both_ways(connection: SshConnection) -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        connection.remote_forward("127.0.0.1:0", f"127.0.0.1:{port}") as there,
        connection.local_forward(there) as here,
    ):
        assert not there.endswith(":0")
        reader, writer = await asyncio.open_connection(*here.split(":"))
        writer.write(b"hello\n")
        assert await reader.readline() == b"echo hello\n"
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*there.split(":"))


async def test_a_forward_that_is_refused_says_so(connection: SshConnection) -> None:
    with pytest.raises(Unavailable, match=r"host0 does not forward /proc/self/s"):
        async with connection.remote_forward("/proc/self/s", "127.0.0.1:1"):
            pass


async def test_an_unknown_host_key_is_refused(
    hosts: SshHosts, host: SshHost, client: SshClient, options: SshOptions
) -> None:
    hosts.forget_key(host)
    try:
        with pytest.raises(FailedPrecondition, match=r"host key of host0 is not known.*by hand"):
            await client.connect("host0", options)
    finally:
        hosts.remember_keys()


async def test_a_wrong_key_is_not_let_in(
    client: SshClient, options: SshOptions, tmp_path: Path, hosts: SshHosts
) -> None:
    make_key(tmp_path / "other")
    config = tmp_path / "config"
    config.write_text(
        hosts.config_file.read_text().replace(str(hosts.identity_file), str(tmp_path / "other"))
    )
    with pytest.raises(PermissionDenied, match=r"host0 does not let us in.*authorized_keys"):
        await client.connect("host0", replace(options, config_file=str(config)))


@pytest.mark.parametrize(
    ("destination", "port", "said"),
    [
        ("no-such-host.invalid", 0, "cannot be resolved.*spelled"),
        ("127.0.0.1", 1, "refuses the connection.*sshd run"),
    ],
)
async def test_what_cannot_be_reached_says_why(
    client: SshClient, options: SshOptions, destination: str, port: int, said: str
) -> None:
    with pytest.raises(Unavailable, match=said):
        await client.connect(destination, replace(options, port=port))


async def test_one_that_does_not_answer_is_given_up(client: SshClient, options: SshOptions) -> None:
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    short = replace(options, port=port, connect_timeout=timedelta(seconds=0.2))
    async with silent:
        with pytest.raises(DeadlineExceeded, match=r"did not let us in within 0.2 s"):
            await client.connect("127.0.0.1", short)
        silent.close()


async def test_a_lost_connection_is_noticed_and_no_other_is_made(
    hosts: SshHosts, host: SshHost, connection: SshConnection
) -> None:
    sleeping = asyncio.create_task(connection.run("sleep 60"))
    await assert_eventually(lambda: _below_sshd(host), "the command runs")
    hosts.stop(host)
    try:
        await connection.wait_lost()
        assert not connection.alive
        with pytest.raises(IrisError, match="connection to host0 was lost"):
            await sleeping
    finally:
        hosts.start(host)
    with pytest.raises(Unavailable, match="is closed"):
        await connection.run("true")


def _below_sshd(host: SshHost) -> bool:
    assert host.process is not None
    identity = ProcessIdentity.of(host.process.pid)
    return identity is not None and len(descendants(identity)) >= 3


async def test_closing_leaves_nothing(options: SshOptions) -> None:
    check = LeakCheck()
    async with SshClient() as client:
        connection = await client.connect("host0", options)
        folder = connection._control.parent
        assert folder.exists()
        async with connection.process("echo ready; exec cat") as process:
            assert await anext(process.lines()) == b"ready"
            await client.close()
            assert (await process.wait())[0] is None
    assert not folder.exists()
    assert not check.leftovers()
