"""A user's own metric: equal to its function, checked at each value, and compared like everfit's own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.extensions import install

from everfit.blocks.errors import DataError, MetricError, NotEnoughError
from everfit.blocks.metrics import metric_facts
from everfit.tasks.core.metric_scale import MetricScale, facts_of, scale_of
from everfit.tasks.statistics.comparison import compare, interval
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.own_metrics import load_own_metric

MODULE = """
import numpy as np
from everfit.tasks.statistics.own_metrics import own_metric

def profit(y, scores):
    acted = scores >= 0.5
    return float(10 * (acted & (y == 1)).sum() - 3 * (acted & (y == 0)).sum()) / len(y)

@own_metric(greater_is_better=False, lowest=0, highest=1)
def brier(y, scores, sample_weight=None):
    return np.average((y - scores) ** 2, weights=sample_weight)

def raises(y, scores): return 1 / 0
def text(y, scores): return "good"
def boolean(y, scores): return True
def infinite(y, scores): return float("inf")
def vector(y, scores): return scores
def nothing(y, scores): pass
def scribbles(y, scores): scores[:] = y; return 1.0
def at_most_one(y, scores): return 1.5
at_most_one.highest = 1
def backwards(y, scores): return 1.5
backwards.lowest, backwards.highest = 1, 0
def shy(y, scores): return 1.5
shy.greater_is_better = "no"
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "metrics_of_shop", MODULE, {"everfit.metrics": {"profit": "metrics_of_shop:profit"}})
    yield
    load_own_metric.cache_clear()


def rows(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = (random.uniform(size=count) < 0.4).astype(float)
    good = np.clip(0.4 * y + 0.6 * random.uniform(size=count), 0, 1)
    return y, good, random.uniform(size=count)


def test_the_value_is_the_functions():
    y, good, _ = rows()
    acted = good >= 0.5
    expected = (10 * (acted & (y == 1)).sum() - 3 * (acted & (y == 0)).sum()) / len(y)
    for name in ("metrics_of_shop:profit", "profit"):
        result = metric(name, "binary")
        assert result.score(y, good) == pytest.approx(expected)
        assert (result.name, result.greater_is_better, result.needs_classes) == (name, True, True)
    assert not metric("metrics_of_shop:brier").greater_is_better
    assert metric("metrics_of_shop:brier").gain(0.1, 0.2) == pytest.approx(0.1)


def test_it_is_compared_as_everfits_own_metric_of_the_same_value_is():
    y, good, poor = rows()
    own = compare(y, good, poor, metric("metrics_of_shop:brier", "binary"), draws=300)
    known = compare(y, good, poor, "brier", draws=300)
    for field in ("challenger", "champion", "difference", "lower", "upper", "rarest_class_rows", "method"):
        assert getattr(own, field) == pytest.approx(getattr(known, field)), field
    assert own.metric == "metrics_of_shop:brier"


def test_without_sample_weight_the_bootstrap_draws_rows():
    y, good, poor = rows()
    result = compare(y, good, poor, metric("profit", "binary"), draws=300)
    assert 0 < result.lower < result.difference < result.upper
    clustered = compare(y, good, poor, metric("profit", "binary"), draws=300, clusters=np.arange(len(y)) // 10)
    assert clustered.lower != result.lower
    twice = interval(np.repeat(y, 2), np.repeat(good, 2), metric("profit", "binary"), draws=200)
    weighted = metric("profit", "binary").score(y, good, np.full(len(y), 2))
    assert twice.value == pytest.approx(weighted)
    with pytest.raises(DataError, match="takes no sample_weight, and these rows have weights; give the function"):
        interval(y, good, metric("profit", "binary"), weights=np.full(len(y), 0.5), draws=200)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "metric 'metrics_of_shop:raises' failed with ZeroDivisionError: division by zero"),
        ("text", "returned 'good'; it must return one finite number"),
        ("boolean", "returned True; it must return one finite number"),
        ("infinite", "returned inf; it must"),
        ("vector", "it must return one finite number"),
        ("nothing", "returned None; it must"),
        ("scribbles", "failed with ValueError: assignment destination is read-only"),
        ("at_most_one", "returned 1.5, outside of its range from -inf to 1; correct"),
        ("backwards", "declares a range from 1 to 0; give two numbers in order"),
        ("shy", "declares greater_is_better = 'no'; allowed: True, False"),
        ("absent", "metric 'metrics_of_shop:absent' can't be imported: module"),
    ],
)
def test_a_value_that_is_no_number_is_an_error_and_no_bound_comes_of_it(name: str, words: str):
    y, good, poor = rows()
    with pytest.raises(MetricError, match=words):
        metric(f"metrics_of_shop:{name}").score(y, good)
    with pytest.raises((MetricError, NotEnoughError)):
        compare(y, good, poor, metric(f"metrics_of_shop:{name}"), draws=100)


def test_evidence_keeps_direction_and_range():
    facts = metric("metrics_of_shop:brier").facts
    assert scale_of(facts) == MetricScale(greater_is_better=False, lowest=0, highest=1)
    again = facts_of(facts.name, MetricScale.model_validate_json(scale_of(facts).model_dump_json()))
    assert again == facts
    assert scale_of(metric("profit").facts).highest is None
    assert facts_of("roc_auc", None) == metric_facts("roc_auc")
    with pytest.raises(ValueError, match="'profit' is not a metric"):
        facts_of("profit", None)
