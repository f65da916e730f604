"""Two models on the same rows: how much better is the challenger, and how sure is that?

The difference is turned so that positive means that the challenger is better, whatever the metric's direction.
The bounds are one-sided: the true difference lies above `lower` with the given confidence, and below `upper`
with the same. Data from which nothing can be learned is an error or "no difference", never a gain.
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
"""`auto`: DeLong for AUC and McNemar for accuracy where the rows are independent and of equal weight."""

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

    The result doesn't depend on the order of the rows, and swapping the models mirrors it to the last digit.

    Args:
        y: Labels, shape (n,).
        challenger_scores: The challenger's scores, shape (n,) or (n, classes).
        champion_scores: The champion's (or a dummy's) scores, of the same shape.
        metric: A metric or its name.
        confidence: Of each one-sided bound, in (0.5, 1).
        draws: Of the bootstrap.
        seed: Of the bootstrap.
        weights: Weight of each row, shape (n,).
        clusters: Any label of the group that a row belongs to (a day, a customer), shape (n,), where rows of one
            group are not independent; whole groups are resampled then.
        method: `bootstrap` to resample where an exact variance is known, too.

    Raises:
        DataError: fewer than 2 rows, one class only, NaN, shapes that don't fit, or too few rows of a class for
            a bound.

    Example:
        >>> found = compare([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.1, 0.2, 0.8, 0.9], "roc_auc")
        >>> found.difference, found.lower, found.method
        (0.0, 0.0, 'identical')
    """
    rows = _Rows.checked(metric, y, (challenger_scores, champion_scores), weights, clusters)
    _check_request(confidence, draws)
    challenger, champion = rows.value(0), rows.value(1)
    gain = rows.metric.gain(challenger, champion)
    # Worked out with the better model first and turned back at the end: so the bootstrap draws the same rows
    # whichever model is called the challenger.
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
    """Give a metric of one model with its two-sided confidence interval.

    Args:
        y: Labels, shape (n,).
        scores: Scores, shape (n,) or (n, classes).
        metric: A metric or its name.
        confidence: Of the interval, in (0.5, 1): 0.95 leaves 2.5 % on each side.
        draws: Of the bootstrap.
        seed: Of the bootstrap.
        weights: As for `compare`.
        clusters: As for `compare`.
        method: As for `compare`.

    Raises:
        DataError: as for `compare`.
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
    """Checked rows: labels, one or two models' scores, and how the rows count."""

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
        found = metric(chosen) if isinstance(chosen, str) else chosen
        checked = [found.check(y, each) for each in scores]
        labels, arrays = checked[0][0], tuple(each for _, each in checked)
        if labels.size < 2:
            raise NotEnoughError("one row alone can't tell a difference; give at least 2")
        if len({each.shape for each in arrays}) > 1:
            raise DataError(f"the models' scores have different shapes {[each.shape for each in arrays]}")
        if found.needs_classes and np.unique(labels).size == 1:
            raise NotEnoughError(
                f"all {labels.size} labels are {labels[0]:g}; a comparison needs rows of another class too"
            )
        groups = None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)
        if groups is not None and (groups.shape != labels.shape or groups.max() < 1):
            raise NotEnoughError(
                f"clusters of shape {groups.shape!r} for {labels.size} rows: give one label per row, two kinds"
            )
        checked_weights = None if weights is None else check_weights(weights, labels.size)
        return cls(found, labels, arrays, checked_weights, groups)

    @property
    def rarest(self) -> int | None:
        """Rows of the rarest class among those that are there."""
        return int(np.unique(self.y, return_counts=True)[1].min()) if self.metric.needs_classes else None

    @property
    def exact(self) -> bool:
        """Whether an exact variance holds: rows independent, of equal weight, and two of each class for an AUC."""
        enough = self.metric.name != "roc_auc" or self.rarest != 1
        return enough and self.weights is None and self.clusters is None

    def swapped(self) -> Self:
        """The models the other way round."""
        return replace(self, scores=self.scores[::-1])

    def either_way(self) -> Self:
        """The models and rows in an order of their own, for models of which neither is the better one."""
        return min(self.ordered(), self.swapped().ordered(), key=_Rows.values)

    def values(self) -> list[list[float]]:
        """All that is known of the rows, in their order."""
        return [each.tolist() for each in (self.y, self.weights, self.clusters, *self.scores) if each is not None]

    def ordered(self) -> Self:
        """The rows in an order of their own, so that how they came makes no difference to a draw or a sum."""
        keys = [column for each in reversed(self.scores) for column in np.atleast_2d(each.T)]
        order = np.lexsort([*keys, *(each for each in (self.clusters, self.weights) if each is not None), self.y])
        return replace(
            self,
            y=self.y[order],
            scores=tuple(each[order] for each in self.scores),
            weights=None if self.weights is None else self.weights[order],
            clusters=None if self.clusters is None else self.clusters[order],
        )

    def value(self, model: int) -> float:
        """The metric of one of the models."""
        alone = replace(self, scores=(self.scores[model],), clusters=None).ordered()
        return self.metric.score(alone.y, alone.scores[0], alone.weights)


def _draw(rows: _Rows, draws: int, seed: int) -> Floats:
    """The metric of each model on resampled rows, shape (draws, models)."""
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
    """Percentile bounds of the difference, the first model's gain being positive."""
    values = _draw(rows, draws, seed)
    gains = (values[:, 0] - values[:, 1]) * (1 if rows.metric.greater_is_better else -1)
    lower, upper = _quantiles(gains, 1 - confidence)
    # A draw that gives no value speaks against whatever is to be shown. One is added to both counts, because
    # the rows as they are count as a draw: A. C. Davison and D. V. Hinkley, "Bootstrap Methods" (1997), § 4.2.
    return Estimate(lower, upper, *((1 + draws - int((turned > 0).sum())) / (draws + 1) for turned in (gains, -gains)))


def _quantiles(values: Floats, tail: float) -> tuple[float, float]:
    """Values with `tail` of the draws beyond them on each side; a draw without a value is beyond both."""
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
        raise DataError(f"confidence {confidence!r} is impossible; allowed: more than 0.5, less than 1")
    if draws < 100:
        raise DataError(f"{draws!r} draws can't give a bound; allowed: 100 or more")
