"""What becomes of slices says how well their group does."""

from iris.autoscaler.health import ENOUGH, MOST_FATES, UNKNOWN_HEALTH, Fate, Health
from iris.autoscaler.scaling_cases import NOW, SETTINGS, seconds

WINDOW = SETTINGS.health_window


def of(*fates: Fate) -> Health:
    made = UNKNOWN_HEALTH
    for fate in fates:
        made = made.after(fate, NOW, SETTINGS)
    return made


def churns(health: Health, after: float = 0.0) -> bool:
    return bool(health.churn(NOW + seconds(after), SETTINGS))


def test_what_is_not_known_is_well() -> None:
    assert not churns(UNKNOWN_HEALTH)


def test_a_few_losses_are_an_accident() -> None:
    assert not churns(of(*[Fate.SHORT_LIVED] * (ENOUGH - 1)))
    assert churns(of(*[Fate.SHORT_LIVED] * ENOUGH))


def test_both_kinds_of_loss_count_and_are_told() -> None:
    health = of(Fate.SHORT_LIVED, Fate.BOOT_FAILED, Fate.SHORT_LIVED, Fate.SURVIVED)
    assert health.churn(NOW, SETTINGS) == (
        "of the 4 slices that it had in the last 30 min, 2 were soon lost and 1 failed to boot"
    )


def test_a_group_of_which_half_survives_is_well() -> None:
    assert not churns(of(*[Fate.SHORT_LIVED, Fate.SURVIVED] * ENOUGH))


def test_it_comes_back_once_the_losses_are_long_ago() -> None:
    health = of(*[Fate.SHORT_LIVED] * ENOUGH)
    assert churns(health, WINDOW.total_seconds() - 1)
    assert not churns(health, WINDOW.total_seconds())


def test_what_is_beyond_the_window_is_dropped() -> None:
    health = of(*[Fate.SHORT_LIVED] * ENOUGH).after(Fate.SURVIVED, NOW + WINDOW, SETTINGS)
    assert health.fates == ((NOW + WINDOW, Fate.SURVIVED),)


def test_it_is_bounded_and_the_latest_count() -> None:
    health = of(*[Fate.SHORT_LIVED] * 1_000, *[Fate.SURVIVED] * MOST_FATES)
    assert len(health.fates) == MOST_FATES
    assert not churns(health)
