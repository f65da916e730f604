"""Each metric equals scikit-learn's value, ties and weights included, and never makes up a number."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import DEFAULT_METRIC, METRICS, TaskKind
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.weighted_metrics import PREPARE, LeavesOut

Values = Callable[..., float]


def _called(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.5).astype(int)


def _over_classes(function: Values, **options: Any) -> Values:
    return lambda y, s, **kw: function(y, _called(s), **kw, **options)


SKLEARN: dict[str, Values] = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "f1": _over_classes(sk.f1_score),
    "precision": _over_classes(sk.precision_score),
    "recall": _over_classes(sk.recall_score),
    "brier": sk.brier_score_loss,
    "log_loss": lambda y, s, **kw: sk.log_loss(y, s, labels=range(s.shape[1] if s.ndim == 2 else 2), **kw),
    "accuracy": _over_classes(sk.accuracy_score),
    "balanced_accuracy": _over_classes(sk.balanced_accuracy_score),
    "f1_macro": _over_classes(sk.f1_score, average="macro"),
    "roc_auc_ovr": lambda y, s, **kw: sk.roc_auc_score(y, s, multi_class="ovr", **kw),
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
}
CASES = [(name, task) for name, facts in METRICS.items() for task in sorted(facts.tasks)]


def _rows(task: TaskKind, seed: int, *, tied: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 400))
    if task == "regression":
        amount = 1e4 + rng.normal(size=n)
        return amount, amount + rng.normal(size=n)
    if task == "binary":
        y = (rng.random(n) < 0.3).astype(int)
        y[:2] = 0, 1
        one = np.clip(0.3 * y + rng.random(n) * 0.7, 0, 1)
        return y, np.round(one, 1) if tied else one
    y = rng.integers(0, 4, n)
    y[:4] = range(4)
    each = rng.random((n, 4)) + 0.5 * np.eye(4)[y]
    if tied:
        each = np.round(each * 3) + 1
    return y, each / each.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("tied", [False, True])
def test_score_is_scikit_learns(name: str, task: TaskKind, tied: bool) -> None:
    for seed in range(5):
        y, s = _rows(task, seed, tied=tied)
        assert metric(name, task).score(y, s) == pytest.approx(SKLEARN[name](y, s), rel=1e-10)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_metric_reads_what_it_declares(name: str, task: TaskKind) -> None:
    """By this, everfit chooses the corrections that can change a metric, and the loss that a diagnosis splits."""
    y, s = _rows(task, 3, tied=False)
    measured = metric(name, task)
    value = measured.score(y, s)
    if task == "regression":
        by_mean, by_median = (measured.score(y, np.full(len(y), centre)) for centre in (np.mean(y), np.median(y)))
        assert measured.facts.reads == ("mean" if measured.gain(by_mean, by_median) > 0 else "median")
    elif task == "binary":
        unchanged = {
            "order": measured.score(y, s / 2) == pytest.approx(value),
            "class": measured.score(y, np.where(s > 0.5, (s + 1) / 2, s / 2)) == pytest.approx(value),
        }
        read = [part for part, same in unchanged.items() if same]
        assert measured.facts.reads == (read[0] if read else "probability")
    else:
        sharper = s**2 / (s**2).sum(axis=1, keepdims=True)  # of the same class, in another order among the rows
        assert (measured.facts.reads == "class") == (measured.score(y, sharper) == pytest.approx(value))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_weights_are_scikit_learns(name: str, task: TaskKind) -> None:
    y, s = _rows(task, 7, tied=True)
    w = np.random.default_rng(1).integers(0, 4, len(y)).astype(float) / 2
    assert metric(name, task).score(y, s, w) == pytest.approx(SKLEARN[name](y, s, sample_weight=w), rel=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_weight_of_two_is_the_row_twice(name: str, task: TaskKind) -> None:
    y, s = _rows(task, 3, tied=True)
    counts = np.random.default_rng(2).integers(0, 3, len(y))
    counts[:4] = 1
    values = metric(name, task).prepare(*metric(name).check(y, s))(counts[None, :])
    again = metric(name, task).score(np.repeat(y, counts), np.repeat(s, counts, axis=0))
    assert values[0] == pytest.approx(again, rel=1e-10)


def test_certain_and_wrong_costs_as_much_as_in_scikit_learn() -> None:
    y, s = np.array([0, 1, 1]), np.array([1.0, 0.0, 0.5])
    assert metric("log_loss").score(y, s) == pytest.approx(sk.log_loss(y, s))


def test_a_model_that_never_says_positive_has_precision_zero() -> None:
    assert metric("precision").score([0, 1, 1], [0.1, 0.2, 0.3]) == 0.0


def test_each_task_has_its_default_and_its_metrics() -> None:
    for task, name in DEFAULT_METRIC.items():
        assert metric(name, task).tasks >= {task}
    with pytest.raises(DataError, match="rmse, mse, mae, mape, r2"):
        metric("roc_auc", "regression")


def test_values_stay_in_the_known_range() -> None:
    for name, task in CASES:
        facts = METRICS[name]
        for seed in range(3):
            assert facts.lowest <= metric(name).score(*_rows(task, seed, tied=True)) <= facts.highest


def test_gain_is_positive_for_the_better_value() -> None:
    assert metric("roc_auc").gain(0.8, 0.7) == pytest.approx(0.1)
    assert metric("rmse").gain(0.8, 0.7) == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("name", "y", "s", "says"),
    [
        ("roc_auc", [1, 1, 1], [0.1, 0.2, 0.3], "not defined on these 3 rows"),
        ("average_precision", [0, 0], [0.1, 0.2], "not defined"),
        ("f1", [0, 0], [0.1, 0.2], "not defined"),
        ("recall", [0, 0], [0.1, 0.9], "not defined"),
        ("balanced_accuracy", [0, 0], [0.1, 0.9], "not defined"),
        ("r2", [2.0, 2.0], [1.0, 2.0], "not defined"),
        ("roc_auc_ovr", [0, 1], [[0.1, 0.2, 0.7], [0.2, 0.1, 0.7]], "not defined"),
        ("roc_auc", [0, 1], [0.1, np.nan], "1 of 2 scores are NaN or infinite, the first in row 1"),
        ("rmse", [0, np.inf], [0.1, 1], "labels are NaN or infinite"),
        ("rmse", [], [], "there are no labels"),
        ("rmse", [1, 2], [1, 2, 3], "don't fit 2 labels"),
        ("roc_auc", [0, 1], [[0.5, 0.5], [0.5, 0.5]], "don't fit 2 labels for roc_auc"),
        ("roc_auc", [1, 2], [0.1, 0.2], "labels 1, 2 are not class indexes below 2"),
        ("brier", [0, 1], [0.1, 1.2], "1.2 among the scores is not a probability"),
        ("log_loss", [0, 1], [[0.1, 0.1], [0.5, 0.5]], "don't add up to 1"),
        ("rmse", ["a", "b"], [1, 2], "labels are not all numbers"),
    ],
)
def test_data_that_defines_no_value_is_an_error(name: str, y: Any, s: Any, says: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=says):
            metric(name).score(y, s)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan]])
def test_weights_must_fit(weights: list[float]) -> None:
    with pytest.raises(DataError, match="weights"):
        metric("rmse").score([1, 2], [1, 2], weights)


def test_an_unknown_metric_is_named_with_what_is_allowed() -> None:
    with pytest.raises(DataError, match=r"'auc' is not a metric; known are roc_auc, "):
        metric("auc")
    with pytest.raises(DataError, match=r"'rmse' is not a metric of 'binary' models; use one of roc_auc, "):
        metric("rmse", "binary")


@pytest.mark.parametrize("name", sorted(PREPARE))
def test_without_each_group_a_metric_is_what_it_is_on_the_other_rows(name: str) -> None:
    random = np.random.default_rng(3)
    chosen = metric(name)
    groups = random.integers(0, 7, 400)
    if "multiclass" in chosen.tasks and "binary" not in chosen.tasks:
        y, scores = random.integers(0, 3, 400).astype(float), random.dirichlet(np.ones(3), 400).round(2)
        scores /= scores.sum(axis=1, keepdims=True)
    elif "binary" in chosen.tasks:
        y, scores = random.integers(0, 2, 400).astype(float), random.random(400).round(2)  # with ties
    else:
        y, scores = random.normal(5, 1, 400), random.normal(5, 1, 400)
    prepared = chosen.prepare(y, scores)
    weights = (groups[None, :] != np.arange(7)[:, None]).astype(np.int64)
    expected = [chosen.score(y[groups != group], scores[groups != group]) for group in range(7)]
    assert prepared(weights) == pytest.approx(expected, rel=1e-12)
    if isinstance(prepared, LeavesOut):
        assert prepared.without_each(groups, 7) == pytest.approx(expected, rel=1e-12)
    else:
        assert name == "average_precision"
