"""The flow's groups are valid, kept to their cases, and leave a configuration's own alone."""

import pytest

from iris.config import check_budget, config_to_yaml, parse_config
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.taints import Toleration
from iris.smoke.groups import GANG, GANG_VARIANT, ONE, SMOKE_GROUPS, TAINT, with_smoke_groups

CONFIG = """
controller_vm: {local: {machine: {cpu: 1, memory: 256MiB, disk: 1GiB}}}
autoscaler: {idle_timeout: 5m}
scale_groups:
  cpu: {provider: {local: {}}, vm: {cpu: 1, memory: 64MiB}, max_slices: 3}
"""


def test_what_comes_out_is_a_valid_configuration_that_fits() -> None:
    before = parse_config(CONFIG, "test.yaml")
    after = with_smoke_groups(before)
    assert parse_config(config_to_yaml(after), "again.yaml") == after
    check_budget(after, Resources(1000, 512 * MIB, 1 << 30))


def test_the_configurations_own_groups_and_itself_stay_as_they_are() -> None:
    before = parse_config(CONFIG, "test.yaml")
    copy = type(before)()
    copy.CopyFrom(before)
    after = with_smoke_groups(before)
    assert before == copy
    assert after.scale_groups["cpu"] == before.scale_groups["cpu"]
    assert after.autoscaler.idle_timeout.ToTimedelta().total_seconds() == 1


@pytest.mark.parametrize("group", SMOKE_GROUPS, ids=lambda group: group.name)
def test_nobody_else_may_use_one(group: object) -> None:
    after = with_smoke_groups(parse_config(CONFIG, "test.yaml"))
    assert TAINT in after.scale_groups[group.name].taints  # type: ignore[attr-defined]


def test_a_gang_has_a_place_where_the_configuration_has_none() -> None:
    without = with_smoke_groups(parse_config(CONFIG, "test.yaml"))
    assert without.scale_groups[GANG.name].accelerator_variant == GANG_VARIANT
    own = "{provider: {local: {}}, accelerator_type: tpu, accelerator_variant: v5litepod-16"
    text = f"{CONFIG}  tpu: {own}, vm: {{cpu: 100m, memory: 16MiB, disk: 16MiB}}}}"
    assert GANG.name not in with_smoke_groups(parse_config(text, "test.yaml")).scale_groups


def test_a_job_for_one_group_tolerates_it_and_asks_for_it() -> None:
    spec = ONE.only(JobSpec(Entrypoint(("x",)), Resources()))
    assert spec.constraints == (Constraint("scale-group", ConstraintOp.EQ, (ONE.name,)),)
    assert spec.tolerations == (Toleration(TAINT),)
