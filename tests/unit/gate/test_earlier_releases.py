"""What earlier releases have brought changes the error that the next one may make."""

import pytest
from support.gating import compared, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate import Evidence, decide
from everfit.tasks.gate.earlier_releases import EarlierRelease, release_odds


def _release(version: int, chance: float) -> EarlierRelease:
    return EarlierRelease(version=version, gain=0.02, chance=chance)


def _with(*chances: float) -> Evidence:
    """A gain of 1.9 standard errors: the usual first try asks for 2.05 with these degrees of freedom, or more."""
    gain = compared(0.019, -0.001, standard_error=0.01, degrees_of_freedom=25.0)
    releases = tuple(_release(2 + number, chance) for number, chance in enumerate(chances))
    return measured(comparison=gain, earlier_releases=releases)


@pytest.mark.parametrize(("chances", "odds"), [((), 1), ((0.0,), 2), ((0.5,), 1), ((1.0,), 0.5), ((1, 1, 0, 0), 3)])
def test_odds_follow_the_newest_releases(chances: tuple[float, ...], odds: float) -> None:
    """Given releases of long ago that did not pay, then the newest two count alone."""
    assert release_odds([_release(2, chance) for chance in chances]) == odds


def test_a_gain_that_is_nearly_certain_is_enough_once_releases_have_paid() -> None:
    policy = GatePolicy()

    assert decide(_with(), policy).verdict == "keep"
    assert decide(_with(0.5), policy).verdict == "keep"
    paid = decide(_with(0.02, 0.0), policy)
    assert paid.verdict == "promote"
    sure = "the gain of .019 is at least .005 with 91.24 % confidence, which is enough, as the last 2 releases paid"
    assert paid.reasons[0].endswith(sure)
    figures = {figure.name: figure for figure in paid.figures}
    assert figures["odds that a release pays"].value == "2.922"
    assert figures["odds that a release pays"].origin == (
        "(1 + 1.98) / (1 + 0.02), by live rows since the releases of versions 2 and 3"
    )
    assert figures["allowed error"].origin.startswith("2.922 x 0.6 / 1^1.3 of 0.05")


def test_a_release_that_did_not_pay_makes_the_next_one_harder_and_the_reason_says_so() -> None:
    surer = compared(0.023, 0.0, standard_error=0.01, degrees_of_freedom=25.0)
    kept = decide(_with(1.0).model_copy(update={"comparison": surer}), GatePolicy())

    assert decide(_with().model_copy(update={"comparison": surer}), GatePolicy()).verdict == "promote"
    assert kept.verdict == "keep"
    assert "(as the last release did not pay: 0.5 x the usual error)" in kept.reasons[0]
