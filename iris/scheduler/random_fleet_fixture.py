"""For property tests: random fleets with work that runs and work that waits."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration
from iris.scheduler.policy import SchedulingPolicy, UserPolicy
from iris.scheduler.snapshot import Snapshot, WorkerView
from iris.scheduler.work_fixture import CHIP, Runs, Waits, snapshot_of, worker

_BANDS = st.sampled_from(list(PriorityBand))
_ZONE = st.sampled_from("xyz")
_CONSTRAINTS = st.lists(
    st.builds(
        lambda op, value, must: Constraint(
            "zone", op, () if "EXIST" in op.name else (value,), required=must
        ),
        st.sampled_from(
            [ConstraintOp.EQ, ConstraintOp.NE, ConstraintOp.EXISTS, ConstraintOp.NOT_EXISTS]
        ),
        _ZONE,
        st.booleans(),
    ),
    max_size=2,
).map(tuple)


def needs(*, chips: bool = True) -> st.SearchStrategy[Resources]:
    """What one task may ask for."""
    kinds = st.sampled_from([0, 0, 0, 1, 2]) if chips else st.just(0)
    return st.builds(
        lambda cpu, memory, count: Resources(
            cpu * 500, memory, 0, ((CHIP, count),) if count else ()
        ),
        st.integers(1, 6),
        st.integers(0, 3),
        kinds,
    )


@st.composite
def fleets(draw: st.DrawFn) -> list[WorkerView]:
    """Some workers, all of their room free, in slices of two."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        total = Resources(
            draw(st.integers(1, 8)) * 500,
            draw(st.integers(0, 8)),
            0,
            ((CHIP, 4),) if draw(st.booleans()) else (),
        )
        attributes: dict[str, Any] = {"slice_id": f"s{number // 2}"}
        if draw(st.booleans()):
            attributes["zone"] = draw(_ZONE)
        if draw(st.integers(0, 4)) == 0:
            attributes["taint__spot"] = "true"
        refuses = draw(st.sampled_from(["", "", "", "", "draining"]))
        found.append(worker(f"w{number}", amount=total, total=total, refuses=refuses, **attributes))
    return found


@st.composite
def waiting(draw: st.DrawFn, *, gangs: bool = True) -> list[Waits]:
    """Some jobs that wait."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        is_gang = gangs and draw(st.booleans())
        user = draw(st.sampled_from("abc"))
        found.append(
            Waits(
                f"/{user}/job{number}",
                draw(st.integers(1, 4)),
                draw(needs()),
                draw(_BANDS),
                draw(_CONSTRAINTS),
                (Toleration("spot"),) if draw(st.booleans()) else (),
                "slice-id" if is_gang else "",
            )
        )
    return found


@st.composite
def running(draw: st.DrawFn, fleet: list[WorkerView], *, stopping: bool = True) -> list[Runs]:
    """Work that fits on these workers; members of one gang on workers of one slice."""
    free = {str(view.worker_id): view.total for view in fleet}
    found: list[Runs] = []
    for number in range(draw(st.integers(0, 8))):
        need, band = draw(needs()), draw(_BANDS)
        is_gang = draw(st.booleans())
        first = draw(st.integers(0, len(fleet) - 1))
        names = [str(view.worker_id) for view in fleet[first : first + (2 if is_gang else 1)]]
        if not all(need.fits_in(free[name]) for name in names):
            continue
        stops = stopping and draw(st.integers(0, 3)) == 0
        for name in names:
            free[name] -= need
            found.append(
                Runs(
                    name,
                    f"/{draw(st.sampled_from('abc'))}/run{number}"
                    if not is_gang
                    else f"/a/run{number}",
                    need,
                    band,
                    is_gang,
                    minutes=draw(st.integers(0, 99)),
                    left=draw(st.sampled_from([None, 5, 50])),
                    stopping=stops,
                    uid=f"r{len(found)}",
                )
            )
    return found


@st.composite
def policies(draw: st.DrawFn) -> SchedulingPolicy:
    """Some budgets and weights, small limits."""
    users = {
        user: UserPolicy(
            {"cpu": draw(st.integers(0, 12)) * 500} if draw(st.booleans()) else {},
            draw(st.sampled_from([0.5, 1.0, 3.0])),
        )
        for user in "ab"
    }
    return SchedulingPolicy(
        users=users,
        preemption=draw(st.booleans()),
        max_placements=draw(st.sampled_from([3, 1000])),
        max_preemptions=draw(st.sampled_from([2, 1000])),
        max_reservations=draw(st.integers(0, 3)),
    )


@st.composite
def snapshots(
    draw: st.DrawFn,
    *,
    gangs: bool = True,
    quiet: bool = False,
    policy: SchedulingPolicy | None = None,
) -> Snapshot:
    """Anything at all; `quiet`: nothing runs."""
    fleet = draw(fleets())
    runs = [] if quiet else draw(running(fleet))
    return replace(
        snapshot_of(fleet, draw(waiting(gangs=gangs)), runs),
        policy=policy or draw(policies()),
    )
