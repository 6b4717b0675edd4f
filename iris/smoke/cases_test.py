"""The list of cases is the one that is promised, each has a name of its own and says what it proves."""

from iris.smoke.case import Phase
from iris.smoke.cases import ALL

# What the flow proves; a case that is dropped has to be dropped here too.
PROMISED = {
    "boot-and-health",
    "refused-without-token",
    "hello",
    "inline-callable",
    "three-at-once",
    "gang-of-four",
    "nested-child-jobs",
    "retries-then-success",
    "failure-explained",
    "cancel-stubborn-tree",
    "memory-limit",
    "cpu-limit",
    "wall-timeout",
    "named-ports",
    "endpoints-and-actors",
    "log-completeness",
    "constraint-routing",
    "unschedulable-explained",
    "gang-preemption",
    "scale-from-and-to-zero",
    "spare-slices",
    "machine-lost-mid-gang",
    "worker-killed",
    "slice-taken-back",
    "lost-and-doubled-report",
    "slow-bundle-download",
    "corrupt-bundle",
    "quota-refused",
    "controller-killed",
    "reload",
    "second-client",
    "burst",
    "checkpoint-and-restore",
    "command-line",
    "held-up-slice",
    "ill-worker",
    "deaf-client",
    "slices-go-back",
}


def test_every_promised_case_is_there() -> None:
    assert {case.name for case in ALL} == PROMISED
    assert len(ALL) == len(PROMISED)


def test_every_case_says_what_it_proves() -> None:
    assert all(case.what.endswith(".") for case in ALL)
    assert all(case.run.__doc__ for case in ALL)


def test_what_disturbs_the_controller_is_alone_in_its_phase() -> None:
    for phase in (Phase.CRASH, Phase.RELOAD):
        assert len([case for case in ALL if case.phase is phase]) == 1
