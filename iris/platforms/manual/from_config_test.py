"""Everything that a configuration says of hosts and their workers arrives."""

from datetime import timedelta

from iris_proto import config_pb2

from iris.platforms.manual import manual_options
from iris.platforms.manual.options import WorkerSettings


def duration(seconds: int) -> dict[str, int]:
    return {"seconds": seconds}


def test_everything_arrives() -> None:
    group = config_pb2.ScaleGroupConfig(
        provider=config_pb2.ProviderConfig(
            manual=config_pb2.ManualProviderConfig(
                hosts=["a", "me@b"], set_aside=duration(7), lease=duration(8)
            )
        ),
        ssh=config_pb2.SshConfig(user="me", port=2222),
        bootstrap=config_pb2.BootstrapConfig(
            commands=["one", "two"], python="py", work_dir="/w", environment={"A": "b"}
        ),
        timeouts=config_pb2.TimeoutsConfig(
            ssh_connect_timeout=duration(3), bootstrap_timeout=duration(4)
        ),
    )
    config = config_pb2.ClusterConfig(name="c", scale_groups={"g": group})
    config.worker.lost_after.FromTimedelta(timedelta(seconds=30))
    config.worker.stop_grace.FromTimedelta(timedelta(seconds=2))
    config.worker.inherit_env.append("PATH")
    config.worker.max_processes = 11
    config.worker.bundle_cache_size = 12
    options = manual_options(config, "g")
    assert (options.label, options.hosts) == ("c", ("a", "me@b"))
    assert (options.ssh.user, options.ssh.port) == ("me", 2222)
    assert options.ssh.connect_timeout == timedelta(seconds=3)
    assert (options.commands, options.python) == (("one", "two"), "py")
    assert (options.work_dir, options.environment) == ("/w", {"A": "b"})
    assert options.command_timeout == timedelta(seconds=4)
    assert options.set_aside == timedelta(seconds=7)
    assert options.unreachable_after == timedelta(seconds=60)
    worker: WorkerSettings = options.worker
    assert (worker.stop_grace, worker.inherit_env) == (timedelta(seconds=2), ("PATH",))
    assert (worker.max_processes, worker.bundle_cache_bytes) == (11, 12)
    assert worker.lease == timedelta(seconds=8)


def test_a_label_prefix_is_the_label_and_the_name_names_the_folder() -> None:
    config = config_pb2.ClusterConfig(name="c", label_prefix="team-c", scale_groups={"g": {}})
    options = manual_options(config, "g")
    assert (options.label, options.work_dir) == ("team-c", "~/.cache/iris/c")
