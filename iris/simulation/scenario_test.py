"""Scenarios can be written down, and one part of them does not change the others."""

from dataclasses import replace

import pytest

from iris.model.errors import InvalidArgument
from iris.simulation.scenario import FaultKind, scenario_from_json
from iris.simulation.workload import Size, fleet, scenario_of


def test_a_scenario_survives_being_written_down() -> None:
    scenario = scenario_of(3)
    assert scenario_from_json(scenario.to_json()) == scenario


def test_what_is_no_scenario_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no scenario"):
        scenario_from_json(b'{"seed": "one"}')


def test_the_same_seed_is_the_same_scenario() -> None:
    assert scenario_of(5) == scenario_of(5)
    assert scenario_of(5) != scenario_of(6)


def test_more_jobs_leave_those_there_are_as_they_were() -> None:
    few, many = scenario_of(5, Size(jobs=20)), scenario_of(5, Size(jobs=40))
    plain = [job for job in few.jobs if job.job_id.count("/") == 2]
    there = {job.spec.entrypoint: job for job in many.jobs}
    assert sum(there[job.spec.entrypoint] == job for job in plain) > len(plain) / 2


def test_faults_of_one_kind_do_not_depend_on_others() -> None:
    everything = scenario_of(5).faults
    alone = scenario_of(5, Size(faults=frozenset({FaultKind.LOSE}))).faults
    assert alone == tuple(fault for fault in everything if fault.kind is FaultKind.LOSE)


def test_a_fleet_has_about_as_many_workers_as_it_should() -> None:
    for workers in (20, 50, 200):
        most = sum(group.max_slices * group.vms_per_slice for group in fleet(workers))
        assert abs(most - workers) <= max(6, 0.1 * workers)


def test_calm_comes_after_the_last_fault_and_job() -> None:
    scenario = scenario_of(1)
    last = max(fault.at + fault.lasts for fault in scenario.faults)
    assert scenario.calm_at >= last
    assert replace(scenario, faults=(), jobs=()).calm_at == 0.0
