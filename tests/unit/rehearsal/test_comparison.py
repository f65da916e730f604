"""Policies compared over the same windows, and what is recommended."""

import numpy as np
import pytest

from everfit.tasks.rehearsal.comparison import Play, Reactions, Scale, decimals_for, reactions, share_of, standings
from everfit.tasks.rehearsal.intervals import mean_interval, paired_interval
from everfit.tasks.rehearsal.recommendation import NEVER, recommend, verdicts_of_pairs

AUC = Scale(metric="roc_auc", greater_is_better=True)


def wave(windows: int, mean: float, width: float = 0.01, seed: int = 0) -> tuple[float, ...]:
    return tuple(mean + width * np.random.default_rng(seed).normal(size=windows))


def test_an_interval_covers_the_mean_of_dependent_windows_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(400):
        noise = np.random.default_rng(seed).normal(size=41)
        values = noise[1:] + 0.5 * noise[:-1]
        found = mean_interval(list(values))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert covered / 400 > 0.9


def test_few_windows_have_a_mean_and_no_interval() -> None:
    found = mean_interval([0.5, None, float("nan"), 0.7])
    assert found is not None
    assert (found.mean, found.low, found.windows) == (pytest.approx(0.6), None, 2)
    assert mean_interval([None]) is None


def test_windows_are_paired_where_both_know_them() -> None:
    found = paired_interval([1.0, None, 3.0], [0.5, 0.5, None])
    assert found is not None
    assert (found.mean, found.windows) == (0.5, 1)


def test_a_turn_that_released_nothing_better_was_needless() -> None:
    play = Play(policy="p", kind="spec", quality=(0.7,) * 6, turns=(1, 2, 4), releases=(2, 4), wrong=(4,))
    assert play.needless == (1, 4)


BEST = Play(
    policy="b",
    kind="bound",
    quality=(0.8,) * 8,
    releases=(2, 5),
    replaced=((0.8, 0.8) + (0.6,) * 6, (None, None) + (0.8,) * 3 + (0.6,) * 3),
)
"""A plan whose models before each of two changes are worse by 0.2 from then on."""


def followed(quality: tuple[float | None, ...], *releases: int, best: Play = BEST, scale: Scale = AUC) -> Reactions:
    return reactions(Play(policy="p", kind="spec", quality=quality, releases=releases), best, scale)


def test_a_reaction_is_late_by_the_windows_in_which_the_policy_did_worse() -> None:
    assert followed((0.8, 0.8, 0.6, 0.8, 0.8, 0.6, None, 0.8), 3, 7) == Reactions(late=2)
    assert followed((0.8, 0.8, 0.6, 0.6, 0.6, 0.6, 0.8, 0.8), 6) == Reactions(
        late=4
    )  # one release follows both changes
    assert followed((0.8,) * 8) == Reactions()  # its model is as good without a reaction
    assert reactions(BEST, BEST, AUC) == Reactions()


def test_a_release_that_does_not_help_is_no_reaction() -> None:
    assert followed((0.8, 0.8, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6), 3, 4, 6) == Reactions(missed=(2, 5))
    little = (0.8, 0.8, 0.6, 0.65, 0.65, 0.65, 0.65, 0.65)
    assert followed(little, 3) == Reactions(missed=(2, 5))  # it wins a quarter of what the best plan wins
    most = (0.8, 0.8, 0.6, 0.65, 0.75, 0.75, 0.75, 0.75)
    assert followed(most, 3, 4) == Reactions(late=2)  # the second release wins three quarters


def test_a_change_is_missed_if_only_that_before_was_followed() -> None:
    assert followed((0.8, 0.8, 0.8, 0.8, 0.8, 0.6, 0.6, 0.6), 4) == Reactions(missed=(5,))
    assert (
        followed((0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.6, 0.6), 6).missed == ()
    )  # it had followed, then released a bad one


def test_changes_that_are_worth_next_to_nothing_need_no_reaction() -> None:
    slight = BEST.model_copy(update={"replaced": (BEST.replaced[0], (None, None) + (0.8,) * 3 + (0.79,) * 3)})
    quality = (0.8, 0.8, 0.8, 0.8, 0.8, 0.79, 0.79, 0.79)
    assert followed(quality, 2, best=slight) == Reactions()
    assert followed(quality, 2, best=BEST.model_copy(update={"replaced": ((0.8,) * 5 + (0.79,) * 3,) * 2})).missed == (
        2,
        5,
    )


def test_windows_that_nobody_knows_show_no_reaction_and_no_lack_of_one() -> None:
    unknown = (0.8, 0.8, None, None, None, None, None, None)
    assert followed(unknown) == Reactions()
    assert followed((0.8, 0.8, 0.6, 0.6, None, None, None, None), 4) == Reactions(missed=(2,))


def test_of_a_loss_less_is_better_for_reactions_as_well() -> None:
    rmse = Scale(metric="rmse", greater_is_better=False)
    best = Play(policy="b", kind="bound", quality=(1.0, 1.0), releases=(1,), replaced=((1.0, 2.0),))
    assert followed((1.0, 2.0), best=best, scale=rmse).missed == (1,)
    assert followed((1.0, 0.5), best=best, scale=rmse).missed == ()


def test_turns_are_paid_in_the_windows_after_them() -> None:
    scale = Scale(metric="rmse", greater_is_better=False, price=0.25)
    play = Play(policy="p", kind="simple", quality=(1.0, 2.0, None), turns=(1,))
    assert scale.payoff(play) == (-1.0, -2.25, None)
    money = Scale(metric="rmse", greater_is_better=False, price=5.0, unit="EUR")
    assert money.payoff(play.model_copy(update={"money": (10.0, 20.0, 30.0)})) == (10.0, 15.0, 30.0)


def test_the_share_of_hindsight_counts_from_never_retraining() -> None:
    assert share_of((0.7, None), (0.6, 0.1), (0.8, 0.9)) == pytest.approx(0.5)
    assert share_of((0.7,), (0.8,), (0.8,)) is None


def plays(gain: float, later_gain: float, windows: int = 20) -> list[Play]:
    """The spec as it is, and a policy that does better by a gain in the earlier half, by another in the later."""
    spec = wave(windows, 0.7)
    other = [
        value + (gain if place < windows // 2 else later_gain) + 0.001 * (-1) ** place
        for place, value in enumerate(spec)
    ]
    return [
        Play(policy="spec", kind="spec", quality=spec),
        Play(policy="other", kind="patch", quality=tuple(other)),
        Play(policy="never", kind="simple", quality=tuple(value - 0.05 for value in spec)),
        Play(policy="bound", kind="bound", quality=tuple(value + 0.2 for value in spec)),
    ]


PATCHES = {"other": {"training": {"window": "all"}}, "never": NEVER}


def test_a_change_is_recommended_if_the_later_half_confirms_it() -> None:
    found = recommend(plays(0.02, 0.02), AUC, PATCHES, "7d")
    assert (found.verdict, found.policy, found.patch) == ("change", "other", PATCHES["other"])
    assert "did 0.0200 roc_auc better a window" in found.reasons[1]
    assert found.confirmed == found.reasons[1]


def test_a_gain_of_the_earlier_half_alone_was_luck() -> None:
    found = recommend(plays(0.02, -0.01), AUC, PATCHES, "7d")
    assert (found.verdict, found.patch) == ("keep", {})
    assert "luck" in found.reasons[-1]


def test_a_gain_that_is_not_certain_is_no_change() -> None:
    found = recommend(plays(0.02, 0.0001), AUC, PATCHES, "7d")
    assert found.verdict == "perhaps"
    assert "can't tell" in found.reasons[-1]


def test_the_spec_stays_where_nothing_did_better_before() -> None:
    assert recommend(plays(-0.02, 0.05), AUC, PATCHES, "7d").verdict == "keep"
    assert recommend(plays(0.0, 0.0), AUC, PATCHES, "7d").verdict == "keep"


def test_a_rule_without_keys_of_the_spec_is_named_and_not_written() -> None:
    rule = [
        play.model_copy(update={"kind": "simple"}) if play.policy == "other" else play for play in plays(0.02, 0.02)
    ]
    found = recommend(rule, AUC, {"never": NEVER}, "7d")
    assert (found.verdict, found.patch) == ("keep", {})
    assert "'other' does better for certain" in found.reasons[-1]
    assert "retraining.schedule, such as 7d" in found.reasons[-1]


def test_a_short_history_recommends_nothing() -> None:
    found = recommend(plays(0.02, 0.02, windows=6), AUC, PATCHES, "7d")
    assert found.verdict == "unknown"
    assert found.reasons == (
        "History has 6 windows with labels; 8 are needed to choose on the earlier half and confirm on the later.",
    )


def test_what_differs_by_rounding_alone_is_the_same() -> None:
    """Given the same figures by two ways, then none is better for certain: differences of 1e-16 have a sign, too."""
    spec = plays(0.02, 0.02)[0]
    rounded = [None if value is None else value - 1e-16 for value in spec.quality]
    other = spec.model_copy(update={"policy": "p", "kind": "patch", "quality": tuple(rounded)})
    (same,) = verdicts_of_pairs(standings([spec, other], AUC), AUC)
    assert same == "p: the same as the spec as it is."
    few = [
        play.model_copy(update={"quality": spec.quality[:2], "policy": name})
        for play, name in ((spec, "spec"), (other, "p"))
    ]
    assert verdicts_of_pairs(standings(few, AUC), AUC) == (same,)


def test_pairs_are_said_in_words() -> None:
    found = standings(plays(0.02, 0.02), AUC)
    sure, worse = verdicts_of_pairs(found, AUC)
    assert sure.startswith("other: 0.0200 roc_auc better a window than the spec as it is (95 %: 0.01")
    assert sure.endswith("that is certain.")
    assert worse == (
        "never: 0.0500 roc_auc worse a window than the spec as it is (95 %: 0.0500 to 0.0500); that is certain."
    )
    (doubtful, _) = verdicts_of_pairs(standings(plays(0.0001, -0.0001), AUC), AUC)
    assert doubtful.endswith("history can't tell the two apart.")
    spec = plays(0.02, 0.02)[0]
    (same,) = verdicts_of_pairs(standings([spec, spec.model_copy(update={"policy": "p", "kind": "patch"})], AUC), AUC)
    assert same == "p: the same as the spec as it is."


def test_the_side_of_a_difference_is_said_of_errors_too() -> None:
    """Given an error, then a sign would be read the wrong way: 3.42 less is better."""
    errors = Scale(metric="rmse", greater_is_better=False, decimals=2)
    spec = Play(policy="spec", kind="spec", quality=wave(12, 58.5))
    less = spec.model_copy(
        update={"policy": "p", "kind": "patch", "quality": tuple((value or 0.0) - 3.42 for value in spec.quality)}
    )
    (pair,) = verdicts_of_pairs(standings([spec, less], errors), errors)
    assert pair.startswith("p: 3.42 rmse better a window than the spec as it is (95 %: 3.42 to 3.42)")
    (wide,) = verdicts_of_pairs(standings(plays(0.01, -0.01)[:2], AUC), AUC)
    assert " worse to " in wide


@pytest.mark.parametrize(
    ("size", "shown"), [(0.85, "0.8500"), (58.5, "58.50"), (15234.4, "15,234"), (0.0021, "0.002100")]
)
def test_a_metric_is_shown_with_four_digits(size: float, shown: str) -> None:
    play = Play(policy="spec", kind="spec", quality=(size, None))
    scale = Scale(metric="rmse", greater_is_better=False, decimals=decimals_for([play]))
    assert scale.shown_metric(size) == shown
