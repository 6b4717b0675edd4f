"""A worker's problems read the same wherever they are shown."""

from iris.model.health import HealthProblem, problems_text


def test_problems_name_the_check_and_what_it_found() -> None:
    disk = HealthProblem("disk", "120 MiB free, needs 1 GiB")
    clock = HealthProblem("clock", "40 s ahead")
    assert str(disk) == "disk: 120 MiB free, needs 1 GiB"
    assert problems_text((disk, clock)) == "disk: 120 MiB free, needs 1 GiB; clock: 40 s ahead"
    assert problems_text(()) == ""
