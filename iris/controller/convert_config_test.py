"""What a configuration says of scheduling and retention reaches those who act on it."""

from datetime import timedelta

import pytest
from iris_proto import config_pb2

from iris.config import parse_config
from iris.controller.convert_config import retention, scheduling_policy
from iris.controller.options import Retention
from iris.model.resources import GIB, Resources
from iris.scheduler.policy import SchedulingPolicy, UserPolicy


def config(text: str = "") -> config_pb2.ClusterConfig:
    return parse_config(f"controller_vm: {{local: {{}}}}\n{text}", "c.yaml")


def test_what_is_not_named_is_as_without_a_configuration() -> None:
    assert scheduling_policy(config().scheduling) == SchedulingPolicy()
    assert retention(config().retention) == Retention()


def test_every_key() -> None:
    said = config("""
scheduling:
  preemption: false
  reservation_lasts: 90s
  default_user: {weight: 0.5, budget: {cpu: 1500m}}
  users:
    alice:
      weight: 3
      budget:
        cpu: 0
        memory: 2GiB
        disk: 10GB
        ports: 7
        accelerators: {tpu/v5litepod-16: 64, gpu: 0}
    bob: {}
retention: {jobs: 1d, events: 36h, log_bytes_per_attempt: 1MiB, log_bytes: 1GiB}
""")
    policy = scheduling_policy(said.scheduling)
    assert policy == SchedulingPolicy(
        users={
            "alice": UserPolicy(
                {
                    "cpu": 0,
                    "memory": 2 * GIB,
                    "disk": 10 * 10**9,
                    "ports": 7,
                    "tpu/v5litepod-16": 64,
                    "gpu": 0,
                },
                3.0,
            ),
            "bob": UserPolicy(),
        },
        default_user=UserPolicy({"cpu": 1500}, 0.5),
        preemption=False,
        reservation_lasts=timedelta(seconds=90),
    )
    assert policy.of_user("carol").weight == 0.5
    assert policy.of_user("bob").weight == 1.0, "who is named has nothing from default_user"
    assert retention(said.retention) == Retention(
        timedelta(days=1), timedelta(hours=36), log_bytes_per_attempt=1 << 20, log_bytes=1 << 30
    )


@pytest.mark.parametrize(
    ("need", "fit"),
    [
        (Resources(cpu_millis=1), 0),
        (Resources(memory_bytes=GIB), 2),
        (Resources(accelerators=(("tpu/v5litepod-16", 16),)), 4),
        (Resources(ports=2), 3),
        (Resources(accelerators=(("gpu/h100", 1),)), 9),
    ],
)
def test_names_are_those_of_resources(need: Resources, fit: int) -> None:
    said = config(
        "scheduling: {default_user: {budget: {cpu: 0, memory: 2GiB, ports: 7, "
        "accelerators: {tpu/v5litepod-16: 64}}}}"
    )
    user = scheduling_policy(said.scheduling).default_user
    assert user.copies_within(need, Resources(), 9) == fit
