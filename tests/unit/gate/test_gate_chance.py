"""The gate under known truth: chance rarely promotes, and a better challenger often is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm
from support.gating import compared, failed, first_champion, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import WithinGroups
from everfit.tasks.gate import decide
from everfit.tasks.gate.checks.comparison import CHECK as COMPARISON
from everfit.tasks.gate.checks.comparison import error_of_try, growth_to_show, proven_gain
from everfit.tasks.statistics.comparison import compare


def _promoted(strength: float, rounds: int, policy: GatePolicy, rows: int = 400) -> float:
    """Share of rounds in which a challenger of a strength is promoted over a champion of strength 1."""
    promoted, evidence = 0, measured()
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        y = (rng.random(rows) < 0.3).astype(int)
        common = rng.normal(size=rows)

        def scores(
            signal: float,
            y: npt.NDArray[Any] = y,
            common: npt.NDArray[Any] = common,
            rng: np.random.Generator = rng,
        ) -> npt.NDArray[Any]:
            return 1 / (1 + np.exp(-(signal * y + 0.8 * common + 0.6 * rng.normal(size=y.size))))

        challenger, champion = scores(strength), scores(1.0)
        result = compare(y, challenger, champion, "roc_auc", confidence=policy.confidence)
        compared_alone = evidence.model_copy(update={"comparison": result})
        if all(check.passed for check in COMPARISON.judge(compared_alone, policy)):  # the other checks cost more time
            whole = measured(
                holdout_rows=rows,
                challenger={"roc_auc": result.challenger},
                comparison=result,
                dummy_comparison=compare(y, challenger, np.full(rows, 0.3), "roc_auc"),
            )
            promoted += decide(whole, policy).verdict == "promote"
    return promoted / rounds


@pytest.mark.slow
def test_chance_rarely_promotes_and_a_better_challenger_often_is() -> None:
    """Given equal, better and worse challengers, then the gate errs as seldom as it says.

    An error is rare, so 500 rounds look for it; that most of the better ones pass shows in fewer.
    """
    policy = GatePolicy()
    equal, worse = _promoted(1.0, 500, policy), _promoted(0.7, 500, policy)
    slightly, better = _promoted(1.15, 300, policy), _promoted(1.5, 200, policy)
    print(f"promoted: equal {equal:.1%}, +.03 AUC {slightly:.1%}, +.09 AUC {better:.1%}, -.07 AUC {worse:.1%}")
    assert equal <= 0.06
    assert worse <= 0.001
    assert equal < slightly < better
    assert better > 0.9


@pytest.mark.parametrize(
    "counts", [(4 / 3) ** np.arange(17), 1.5 ** np.arange(12), 2.0 ** np.arange(8), np.arange(1.0, 51.0)]
)
def test_tries_on_growing_rows_err_together_no_more_than_is_allowed(counts: npt.NDArray[np.float64]) -> None:
    """Given independent rows, each try's among the next one's, then few lives have a try that passes by chance."""
    steps = np.sqrt(np.diff(counts, prepend=0.0))
    sums = np.cumsum(np.random.default_rng(0).normal(size=(20_000, counts.size)) * steps, axis=1)
    allowed = np.array([error_of_try(0.05, attempt) for attempt in range(1, counts.size + 1)])
    wrong = ((sums / np.sqrt(counts)) > norm.isf(allowed)).any(axis=1).mean()
    print(f"lives with a wrong release: {wrong:.1%}")
    assert 0.02 < wrong <= 0.053


@pytest.mark.slow
def test_over_many_turns_equal_challengers_are_seldom_released() -> None:
    """Given a champion that meets fifty equal challengers on ever more rows, then few lives have a wrong release."""
    policy, evidence, lives, wrong = GatePolicy(), measured(), 300, 0
    for life in range(lives):
        random = np.random.default_rng(life)
        gains = random.normal(scale=0.02, size=(50, 20))  # of twenty new days at each turn
        for turn in range(1, 51):
            seen = gains[:turn].ravel()
            error = float(seen.std(ddof=1) / np.sqrt(seen.size))
            result = compared(float(seen.mean()), standard_error=error, degrees_of_freedom=float(seen.size - 1))
            tried = evidence.model_copy(update={"comparison": result, "attempt": turn})
            if all(check.passed for check in COMPARISON.judge(tried, policy)):  # the other checks cost more time
                assert decide(tried, policy).verdict == "promote"
                wrong += 1
                break
    assert wrong / lives <= 0.06


def test_a_kept_challenger_says_which_gain_would_have_shown() -> None:
    result = compared(0.004, -0.002, standard_error=0.0036, degrees_of_freedom=28.0)
    reason = decide(measured(comparison=result, attempt=2), GatePolicy()).reasons[0]
    assert "in try 2 since the champion's release" in reason
    assert "A gain of .009 or more would have shown; to show .004, it takes about 33,000 more rows" in reason


def _within(difference: float, error: float) -> WithinGroups:
    return WithinGroups(
        difference=difference, standard_error=error, degrees_of_freedom=28.0, groups=29, grouped_by="days"
    )


def test_a_gain_within_days_is_enough_if_the_challenger_is_ahead_over_all_rows() -> None:
    """Given days that differ much, then rows of the same day show what all rows leave uncertain."""
    unsure = {"standard_error": 0.01, "degrees_of_freedom": 28.0}
    ahead = decide(measured(comparison=compared(0.012, -0.004, within=_within(0.01, 0.002), **unsure)), GatePolicy())
    assert ahead.verdict == "promote"
    assert "the gain of .010 within days is at least .007 with 95 % confidence" in ahead.reasons[0]
    assert any(figure.name == "gain within groups" for figure in ahead.figures)
    behind = decide(measured(comparison=compared(-0.001, -0.018, within=_within(0.01, 0.002), **unsure)), GatePolicy())
    assert behind.verdict == "keep"
    unclear = decide(measured(comparison=compared(0.012, -0.004, within=_within(0.01, 0.008), **unsure)), GatePolicy())
    assert unclear.verdict == "keep"
    assert "within days by .010, but the 97.6 % lower bound of that gain is -.007" in unclear.reasons[0]


def test_equal_answers_within_days_are_no_evidence() -> None:
    unsure = {"standard_error": 0.002, "degrees_of_freedom": 28.0}
    equal = decide(measured(comparison=compared(-0.0001, -0.004, within=_within(0.0, 0.0), **unsure)), GatePolicy())
    assert equal.verdict == "keep"
    assert "within" not in equal.reasons[0]
    assert "A gain of 0" not in equal.reasons[0]


def test_a_gain_over_the_dummy_within_days_is_enough_too() -> None:
    unsure = {"standard_error": 0.6, "degrees_of_freedom": 3.0, "champion": 0.5}
    levels_move = first_champion(dummy_comparison=compared(0.2, -1.2, within=_within(0.1, 0.01), **unsure))
    promoted = decide(levels_move, GatePolicy())
    assert promoted.verdict == "promote"
    assert "the gain of .100 within days is at least" in promoted.reasons[0]
    kept = decide(
        first_champion(dummy_comparison=compared(0.2, -1.2, within=_within(0.1, 0.08), **unsure)), GatePolicy()
    )
    assert failed(kept) == {"dummy"}
    assert "lower bound of its gain of .100 within days is -" in " ".join(kept.reasons)


@pytest.mark.parametrize("within", [None, _within(0.008, 0.0034)])
def test_a_gain_shows_in_the_next_try_when_the_rows_have_grown_so_much(within: WithinGroups | None) -> None:
    def proven(growth: float) -> bool:
        then = {"standard_error": error / np.sqrt(growth), "degrees_of_freedom": 9.0 * growth}
        days = within and within.model_copy(
            update={
                "standard_error": within.standard_error / np.sqrt(growth),
                "degrees_of_freedom": within.degrees_of_freedom * growth,
            }
        )
        return proven_gain(compared(0.01, 0.0, within=days, **then), 0.0, error_of_try(0.05, 3)).passed

    error = 0.0055 if within is None else 0.02
    paired = compared(0.01, 0.0, within=within, standard_error=error, degrees_of_freedom=9.0)
    growth = growth_to_show(paired, 0.0, attempt=2)
    assert growth is not None
    assert 1.2 < growth < 4
    assert proven(1.001 * growth)
    assert not proven(0.93 * growth)
    assert growth_to_show(paired, 0.02, attempt=2) is None  # no gain beyond the bound
    assert growth_to_show(compared(0.0001, -0.1, standard_error=0.05, degrees_of_freedom=9.0), 0.0, attempt=2) is None


def test_a_sure_gain_over_all_rows_needs_none_within_days() -> None:
    sure = compared(0.03, 0.02, standard_error=0.006, degrees_of_freedom=28.0, within=_within(0.0, 0.002))
    assert decide(measured(comparison=sure), GatePolicy()).verdict == "promote"
