"""All checkers."""

from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.health import TheIllRest
from iris.simulation.checkers.holdings import Holdings
from iris.simulation.checkers.liveness import (
    EarlierBandsTakeTheirPlace,
    EndsAreAcknowledged,
    TheDeadAreGivenUp,
)
from iris.simulation.checkers.outcomes import (
    AttemptsEndAsTheyDid,
    JobsEndOnce,
    PromisesKept,
    Retries,
)
from iris.simulation.checkers.placements import Budgets, GangsWhole, NobodyWaitsBesideRoom
from iris.simulation.checkers.reasons import ReasonsAreTrue
from iris.simulation.checkers.runs import OnePlace, RealCapacity
from iris.simulation.checkers.scaling import (
    FailedBootsRest,
    IdleGoesBack,
    Market,
    NoOverLaunch,
    NoUnderCount,
)
from iris.simulation.checkers.state import StateIsSound
from iris.simulation.checkers.supply import all_of_supply
from iris.simulation.checkers.waiting import Waiting


def all_checkers(evidence: Evidence) -> list[Checker]:
    """One of each. Those that keep account for others come first."""
    holdings, waiting, market = Holdings(evidence), Waiting(evidence), Market(evidence)
    return [
        holdings,
        waiting,
        OnePlace(evidence),
        RealCapacity(evidence),
        AttemptsEndAsTheyDid(evidence),
        JobsEndOnce(evidence),
        Retries(evidence),
        PromisesKept(evidence),
        GangsWhole(evidence),
        Budgets(evidence, holdings),
        NobodyWaitsBesideRoom(evidence, holdings, waiting),
        EarlierBandsTakeTheirPlace(evidence, holdings, waiting),
        TheDeadAreGivenUp(evidence),
        EndsAreAcknowledged(evidence),
        ReasonsAreTrue(evidence, holdings, waiting),
        NoOverLaunch(evidence, waiting, market),
        NoUnderCount(evidence, waiting, holdings, market),
        IdleGoesBack(evidence),
        FailedBootsRest(evidence),
        *all_of_supply(evidence, holdings, waiting, market),
        TheIllRest(evidence),
        StateIsSound(evidence),
    ]
