"""Compare two models on the same rows: how much better is the challenger, and how certain is that?

A positive difference means that the challenger is better, whatever the metric's direction. The bounds are one-sided:
the true difference is above `lower` with the given confidence, and below `upper` with the same. Data without
information is an error or "no difference", never a gain.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import FiniteFloat

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.metrics import Metric, check_weights, metric
from everfit.tasks.statistics.paired_tests import Estimate, delong, delong_interval, mcnemar
from everfit.tasks.statistics.resampling import resample
from everfit.tasks.statistics.weighted_metrics import Floats, Weights

Method = Literal["auto", "bootstrap"]
"""`auto`: DeLong for AUC and McNemar for accuracy if the rows are independent and of equal weight."""

_EXACT: dict[str, tuple[Literal["delong", "mcnemar"], Callable[[Floats, Floats, Floats, float], Estimate]]] = {
    "roc_auc": ("delong", delong),
    "accuracy": ("mcnemar", mcnemar),
}


class Interval(Record):
    """A metric of one model with its two-sided confidence interval."""

    metric: str
    rows: int
    value: FiniteFloat
    lower: FiniteFloat
    upper: FiniteFloat
    confidence: FiniteFloat
    method: Literal["bootstrap", "delong"]
    draws: int | None = None
    seed: int | None = None


def compare(
    y: npt.ArrayLike,
    challenger_scores: npt.ArrayLike,
    champion_scores: npt.ArrayLike,
    metric: str | Metric,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    weights: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    method: Method = "auto",
) -> PairedComparison:
    """Compare two models on the same rows.

    The result doesn't depend on the order of the rows, and swapping the models mirrors it exactly.

    Args:
        y: Labels; shape (n,).
        challenger_scores: The challenger's scores; shape (n,) or (n, classes).
        champion_scores: Scores of the champion, or of a dummy; same shape.
        metric: A metric or its name.
        confidence: Confidence of each one-sided bound, in (0.5, 1).
        draws: Number of bootstrap draws.
        seed: Seed of the bootstrap.
        weights: Weight of each row; shape (n,).
        clusters: Group of each row (a day, a customer), if rows of one group aren't independent; shape (n,). Whole
        groups
            are resampled then.
        method: `bootstrap` to resample even if an exact variance is known.

    Returns:
        The difference with its bounds and p-values.

    Raises:
        DataError: If there are fewer than 2 rows, a single class, NaN, mismatched shapes, or too few rows of a class
        for a
            bound.

    Example:
        >>> comparison = compare([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.1, 0.2, 0.8, 0.9], "roc_auc")
        >>> comparison.difference, comparison.lower, comparison.method
        (0.0, 0.0, 'identical')
    """
    rows = _Rows.checked(metric, y, (challenger_scores, champion_scores), weights, clusters)
    _check_request(confidence, draws)
    challenger, champion = rows.value(0), rows.value(1)
    gain = rows.metric.gain(challenger, champion)
    # Compute with the better model first and mirror the result at the end: then the bootstrap draws the same rows
    # whichever model is the challenger.
    oriented = rows.either_way() if gain == 0 else (rows.swapped() if gain < 0 else rows).ordered()
    exact = _EXACT.get(rows.metric.name) if method == "auto" and rows.exact else None
    used: Literal["identical", "bootstrap", "delong", "mcnemar"] = exact[0] if exact else "bootstrap"
    if np.array_equal(rows.scores[0], rows.scores[1]):
        used, estimate = "identical", Estimate(0.0, 0.0, 1.0, 1.0)
    elif exact:
        estimate = exact[1](oriented.y, oriented.scores[0], oriented.scores[1], confidence)
    else:
        estimate = _bootstrap(oriented, confidence, draws, seed)
    estimate = estimate.symmetric() if gain == 0 else estimate.mirrored() if gain < 0 else estimate
    return PairedComparison(
        metric=rows.metric.name,
        rows=rows.y.size,
        rarest_class_rows=rows.rarest,
        challenger=challenger,
        champion=champion,
        difference=gain,
        lower=estimate.lower,
        upper=estimate.upper,
        p_value=estimate.p_better,
        p_value_worse=estimate.p_worse,
        confidence=confidence,
        method=used,
        draws=draws if used == "bootstrap" else None,
        seed=seed if used == "bootstrap" else None,
    )


def interval(
    y: npt.ArrayLike,
    scores: npt.ArrayLike,
    metric: str | Metric,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    weights: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    method: Method = "auto",
) -> Interval:
    """Compute a metric of one model with its two-sided confidence interval.

    Args:
        y: Labels; shape (n,).
        scores: Scores; shape (n,) or (n, classes).
        metric: A metric or its name.
        confidence: Confidence of the interval, in (0.5, 1): 0.95 leaves 2.5 % on each side.
        draws: Number of bootstrap draws.
        seed: Seed of the bootstrap.
        weights: As in `compare`.
        clusters: As in `compare`.
        method: As in `compare`.

    Returns:
        The value and its interval.

    Raises:
        DataError: As in `compare`.
    """
    rows = _Rows.checked(metric, y, (scores,), weights, clusters).ordered()
    _check_request(confidence, draws)
    exact = rows.metric.name == "roc_auc" and method == "auto" and rows.exact
    if exact:
        lower, upper = delong_interval(rows.y, rows.scores[0], confidence)
    else:
        lower, upper = _quantiles(_draw(rows, draws, seed)[:, 0], (1 - confidence) / 2)
    return Interval(
        metric=rows.metric.name,
        rows=rows.y.size,
        value=rows.value(0),
        lower=lower,
        upper=upper,
        confidence=confidence,
        method="delong" if exact else "bootstrap",
        draws=None if exact else draws,
        seed=None if exact else seed,
    )


@dataclass(frozen=True)
class _Rows:
    """Checked rows: labels, scores of one or two models, weights and clusters."""

    metric: Metric
    y: Floats
    scores: tuple[Floats, ...]
    weights: Weights | None
    clusters: npt.NDArray[np.int64] | None

    @classmethod
    def checked(
        cls,
        chosen: str | Metric,
        y: npt.ArrayLike,
        scores: tuple[npt.ArrayLike, ...],
        weights: npt.ArrayLike | None,
        clusters: npt.ArrayLike | None,
    ) -> Self:
        measure = metric(chosen) if isinstance(chosen, str) else chosen
        checked = [measure.check(y, model_scores) for model_scores in scores]
        labels, arrays = checked[0][0], tuple(array for _, array in checked)
        if labels.size < 2:
            raise NotEnoughError("a single row can't show a difference; provide at least 2")
        if len({array.shape for array in arrays}) > 1:
            raise DataError(f"the models' scores have different shapes {[array.shape for array in arrays]}")
        if measure.needs_classes and np.unique(labels).size == 1:
            raise NotEnoughError(
                f"all {labels.size} labels are {labels[0]:g}; a comparison needs rows of another class too"
            )
        groups = None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)
        if groups is not None and (groups.shape != labels.shape or groups.max() < 1):
            raise NotEnoughError(
                f"clusters of shape {groups.shape!r} for {labels.size} rows: provide one label per row, and two groups"
            )
        checked_weights = None if weights is None else check_weights(weights, labels.size)
        return cls(measure, labels, arrays, checked_weights, groups)

    @property
    def rarest(self) -> int | None:
        """Return the number of rows of the rarest class."""
        return int(np.unique(self.y, return_counts=True)[1].min()) if self.metric.needs_classes else None

    @property
    def exact(self) -> bool:
        """Return whether an exact variance holds: independent rows of equal weight, and two of each class for AUC."""
        enough = self.metric.name != "roc_auc" or self.rarest != 1
        return enough and self.weights is None and self.clusters is None

    def swapped(self) -> Self:
        """Return the rows with the models swapped."""
        return replace(self, scores=self.scores[::-1])

    def either_way(self) -> Self:
        """Return models and rows in a fixed order, for models that are equally good."""
        return min(self.ordered(), self.swapped().ordered(), key=_Rows.values)

    def values(self) -> list[list[float]]:
        """Return all values of the rows, in their order."""
        return [array.tolist() for array in (self.y, self.weights, self.clusters, *self.scores) if array is not None]

    def ordered(self) -> Self:
        """Return the rows in a fixed order, so that their original order affects no draw and no sum."""
        keys = [column for scores in reversed(self.scores) for column in np.atleast_2d(scores.T)]
        order = np.lexsort([*keys, *(key for key in (self.clusters, self.weights) if key is not None), self.y])
        return replace(
            self,
            y=self.y[order],
            scores=tuple(array[order] for array in self.scores),
            weights=None if self.weights is None else self.weights[order],
            clusters=None if self.clusters is None else self.clusters[order],
        )

    def value(self, model: int) -> float:
        """Return the metric of one of the models."""
        alone = replace(self, scores=(self.scores[model],), clusters=None).ordered()
        return self.metric.score(alone.y, alone.scores[0], alone.weights)


def _draw(rows: _Rows, draws: int, seed: int) -> Floats:
    """Return the metric of each model on resampled rows; shape (draws, models)."""
    prepared = [rows.metric.prepare(rows.y, scores) for scores in rows.scores]
    return resample(
        rows.y.size,
        lambda weights: np.column_stack([values(weights) for values in prepared]),
        draws=draws,
        seed=seed,
        weights=rows.weights,
        clusters=rows.clusters,
    )


def _bootstrap(rows: _Rows, confidence: float, draws: int, seed: int) -> Estimate:
    """Return percentile bounds of the difference; a gain of the first model is positive."""
    values = _draw(rows, draws, seed)
    gains = (values[:, 0] - values[:, 1]) * (1 if rows.metric.greater_is_better else -1)
    lower, upper = _quantiles(gains, 1 - confidence)
    # An undefined draw counts against either conclusion. One is added to both counts, because the actual rows count as
    # a draw: A. C. Davison and D. V. Hinkley, "Bootstrap Methods" (1997), § 4.2.
    return Estimate(lower, upper, *((1 + draws - int((turned > 0).sum())) / (draws + 1) for turned in (gains, -gains)))


def _quantiles(values: Floats, tail: float) -> tuple[float, float]:
    """Return values with `tail` of the draws beyond them on each side; an undefined draw is beyond both."""
    undefined = np.isnan(values)
    lower = float(np.quantile(np.where(undefined, -np.inf, values), tail, method="lower"))
    upper = float(np.quantile(np.where(undefined, np.inf, values), 1 - tail, method="higher"))
    if not np.isfinite([lower, upper]).all():
        raise NotEnoughError(
            f"{int(undefined.sum())} of {values.size} bootstrap draws have no value, most often because they lack a "
            "class; there are too few rows of it for a bound: take a longer hold-out"
        )
    return lower, upper


def _check_request(confidence: float, draws: int) -> None:
    if not 0.5 < confidence < 1:
        raise DataError(f"confidence {confidence!r} is impossible; choose more than 0.5 and less than 1")
    if draws < 100:
        raise DataError(f"{draws!r} draws are too few for a bound; use 100 or more")
