"""Metrics among rows of the same day equal their definition, and cancel what a day's rows have in common."""

import numpy as np
import numpy.typing as npt
import pytest

from everfit.tasks.core.paired_comparison import EarlierGains
from everfit.tasks.statistics.dependent_comparison import compare_dependent
from everfit.tasks.statistics.dependent_rows import Rows, gain_within_groups
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.within_groups import WITHIN

DAY = 86_400_000_000_000
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]


def _auc(y: Floats, scores: Floats, within: Groups) -> float:
    ordered, pairs = 0.0, 0
    for group in np.unique(within):
        high, low = (scores[(within == group) & (y == label)] for label in (1, 0))
        ordered += (high[:, None] > low).sum() + (high[:, None] == low).sum() / 2
        pairs += high.size * low.size
    return ordered / pairs


def _rmse(y: Floats, scores: Floats, within: Groups) -> float:
    errors, total = y - scores, 0.0
    for group in np.unique(within):
        own = errors[within == group]
        total += ((own - own.mean()) ** 2).sum()
    return float(np.sqrt(total / (y.size - np.unique(within).size)))


@pytest.mark.parametrize(("name", "defined"), [("roc_auc", _auc), ("rmse", _rmse)])
def test_a_metric_within_groups_is_as_defined_also_without_each_of_other_groups(name: str, defined: object) -> None:
    assert callable(defined)
    random = np.random.default_rng(0)
    y, scores = (random.random(300) < 0.4).astype(float), np.round(random.random(300), 1)
    within, others = np.sort(random.integers(0, 6, 300)), random.integers(0, 5, 300)
    measured = WITHIN[name](y, scores, within)
    assert measured.value == pytest.approx(defined(y, scores, within))
    kept = [others != number for number in range(5)]
    assert measured.without_each(others, 5) == pytest.approx([defined(y[k], scores[k], within[k]) for k in kept])
    assert measured.without_each(within, 6)[2] == pytest.approx(
        defined(y[within != 2], scores[within != 2], within[within != 2])
    )


def _days(random: np.random.Generator, *, better: float = 0.0, shared: float = 1.0, name: str = "roc_auc") -> Rows:
    """Return 30 days whose rows share luck, and two models that react to it differently."""
    day = np.repeat(np.arange(30), 60)
    x, luck = random.normal(size=(2, day.size)), shared * random.normal(size=30)[day]
    reacts = [shared * random.normal(size=30)[day] for _ in range(2)]
    new = (1 + better) * x[0] + 0.7 * random.normal(size=day.size) + reacts[0]
    old = x[0] + 0.7 * random.normal(size=day.size) + reacts[1]
    y = x[0] + luck + x[1]
    if name == "roc_auc":
        y = (y > 1).astype(float)
    return Rows(metric(name), y, new, old, day * DAY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roc_auc", "rmse"])
def test_what_a_days_rows_share_hides_a_gain_and_cancels_within_days(name: str) -> None:
    shown, hidden = 0, 0
    for seed in range(40):
        rows = _days(np.random.default_rng(seed), better=0.7 if name == "roc_auc" else -0.4, name=name)
        if name == "rmse":
            rows = rows._replace(new=rows.old, old=rows.new)
        compared = compare_dependent(rows, 0.95)
        assert compared.within is not None
        assert compared.within.grouped_by == "days"
        shown += compared.within.difference - compared.within.reach(0.95) > 0
        hidden += compared.lower <= 0
    assert shown >= 25
    assert hidden >= 20


@pytest.mark.slow
def test_equal_models_are_seldom_different_within_days() -> None:
    wrong = 0
    for seed in range(400):
        gain = gain_within_groups(_days(np.random.default_rng(seed)))
        assert gain is not None
        wrong += gain.gain > gain.reach
    assert wrong / 400 <= 0.07


def test_the_gain_within_days_is_kept_only_where_it_is_clearly_more_certain() -> None:
    kept = [compare_dependent(_days(np.random.default_rng(seed), shared=0.0), 0.95).within for seed in range(20)]
    assert sum(within is not None for within in kept) <= 6


def test_a_constant_shift_of_all_answers_is_not_judged_within_days_where_it_cancels() -> None:
    random = np.random.default_rng(0)
    rows = _days(random, name="rmse")
    shift = np.where(rows.times < 15 * DAY, 2.0, 2.3)  # as it was fitted before each part
    assert gain_within_groups(rows._replace(new=rows.old + shift)) is None
    assert gain_within_groups(rows._replace(new=rows.old + shift + random.normal(size=shift.size))) is not None


def test_a_metric_without_a_value_within_groups_and_few_groups_have_none() -> None:
    rows = _days(np.random.default_rng(0))
    assert gain_within_groups(rows._replace(metric=metric("average_precision"))) is None
    few = slice(0, 9)
    assert gain_within_groups(Rows(rows.metric, rows.y[few], rows.new[few], rows.old[few], rows.times[few])) is None
    never = rows._replace(y=np.zeros(rows.y.size))
    assert gain_within_groups(never) is None


def test_the_gain_within_days_counts_earlier_gains_within_days() -> None:
    rows = _days(np.random.default_rng(1))
    alone = compare_dependent(rows, 0.95, ())
    recorded = alone.autocorrelation_within
    assert alone.within is not None
    assert recorded is not None
    assert (recorded.grouped_by, recorded.groups, alone.within.earlier_groups) == ("days", 30, 0)
    independent = recorded.model_copy(update={"groups": 60, "log_likelihoods": (0.0, *[-20.0] * 9)})
    after = compare_dependent(rows, 0.95, [EarlierGains(champion=1, within=independent)]).within
    assert after is not None
    assert after.earlier_groups == 60
    assert after.reach(0.95) < 0.8 * alone.within.reach(0.95)
    assert compare_dependent(rows, 0.95, [EarlierGains(champion=1, overall=independent)]).within == alone.within
    assert compare_dependent(rows, 0.95).autocorrelation_within is None


def test_gains_within_days_are_recorded_also_where_they_are_not_more_certain() -> None:
    compared = [compare_dependent(_days(np.random.default_rng(seed), shared=0.0), 0.95, ()) for seed in range(3)]
    assert None in {one.within for one in compared}
    assert all(one.autocorrelation_within is not None for one in compared)
