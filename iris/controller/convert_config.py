"""A cluster's configuration as the values that the controller's rooms know."""

from iris_proto import config_pb2

from iris.controller.options import Retention
from iris.scheduler.policy import SchedulingPolicy, UserPolicy


def scheduling_policy(config: config_pb2.SchedulingConfig) -> SchedulingPolicy:
    """What the owner decided about scheduling; the limits of one pass are the code's own.

    Needs a configuration that is complete, as iris.config.parse_config returns it.
    """
    return SchedulingPolicy(
        users={name: _user_policy(user) for name, user in sorted(config.users.items())},
        default_user=_user_policy(config.default_user),
        preemption=config.preemption,
        reservation_lasts=config.reservation_lasts.ToTimedelta(),
    )


def retention(config: config_pb2.RetentionConfig) -> Retention:
    """How long what is over is kept, and how much of it. Likewise complete."""
    return Retention(
        jobs=config.jobs.ToTimedelta(),
        events=config.events.ToTimedelta(),
        log_bytes_per_attempt=config.log_bytes_per_attempt,
        log_bytes=config.log_bytes,
    )


def _user_policy(config: config_pb2.UserConfig) -> UserPolicy:
    budget = dict(config.budget.accelerators)
    for name in ("cpu", "memory", "disk", "ports"):
        # A budget of nothing is another thing than none.
        if config.budget.HasField(name):
            budget[name] = getattr(config.budget, name)
    return UserPolicy(budget, config.weight)
