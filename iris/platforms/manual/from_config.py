"""The manual platform's options, of a configuration whose defaults are filled in."""

from datetime import timedelta

from iris_proto import config_pb2

from iris.platforms.manual.options import ManualOptions, WorkerSettings
from iris.ssh import ssh_options_of
from iris.worker.health.options import HealthOptions

# A host is given up when its worker has been taken for dead for as long again.
_LOST_TIMES = 2


def manual_options(config: config_pb2.ClusterConfig, group: str) -> ManualOptions:
    """Of one scale group, which is a manual one. Raises InvalidArgument for options of ssh that are
    not allowed.
    """
    said = config.scale_groups[group]
    manual, bootstrap, timeouts = said.provider.manual, said.bootstrap, said.timeouts
    return ManualOptions(
        label=config.label_prefix or config.name,
        hosts=tuple(manual.hosts),
        ssh=ssh_options_of(said.ssh, timeouts.ssh_connect_timeout.ToTimedelta()),
        work_dir=bootstrap.work_dir or f"~/.cache/iris/{config.name}",
        python=bootstrap.python,
        commands=tuple(bootstrap.commands),
        environment=dict(bootstrap.environment),
        command_timeout=timeouts.bootstrap_timeout.ToTimedelta(),
        set_aside=manual.set_aside.ToTimedelta(),
        unreachable_after=config.worker.lost_after.ToTimedelta() * _LOST_TIMES,
        worker=_worker_settings(config.worker, manual.lease.ToTimedelta()),
    )


def _worker_settings(said: config_pb2.WorkerConfig, lease: timedelta) -> WorkerSettings:
    return WorkerSettings(
        stop_grace=said.stop_grace.ToTimedelta(),
        inherit_env=tuple(said.inherit_env),
        secret_env=tuple(said.secret_env),
        max_processes=said.max_processes,
        max_open_files=said.max_open_files,
        health=HealthOptions(
            min_disk_bytes=said.health.min_disk,
            min_memory_bytes=said.health.min_memory,
            max_clock_skew=said.health.max_clock_skew.ToTimedelta(),
            interval=said.health.interval.ToTimedelta(),
        ),
        bundle_cache_bytes=said.bundle_cache_size,
        environment_cache_bytes=said.environment_cache_size,
        lease=lease,
    )
