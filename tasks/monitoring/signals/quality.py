"""Realised quality: on rows whose labels are mature, compared with the hold-out and with chance.

`everfit.tasks.monitoring.windows` says which rows those are.
"""

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat

from everfit.blocks.errors import DataError, MetricError, NotEnoughError
from everfit.blocks.metrics import is_own_metric
from everfit.tasks.core.metric_scale import scale_of
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.comparison import interval
from everfit.tasks.statistics.day_errors import (
    dependent_error,
    error_by_days,
    error_by_entities,
)
from everfit.tasks.statistics.metrics import Floats, metric
from everfit.tasks.triage.quality_signals import Baseline


class RealisedQuality(Record):
    """A metric on mature labels with its confidence interval, and what a constant answer would reach."""

    metric: str
    rows: int
    value: FiniteFloat
    lower: FiniteFloat
    upper: FiniteFloat
    standard_error: FiniteFloat
    chance: FiniteFloat | None
    confidence: FiniteFloat

    def baseline(self, spread: tuple[float, int] | None = None) -> Baseline:
        """The same as what later quality is compared with, when these rows are the hold-out.

        Args:
            spread: By how much the value differs between how many stretches of time, where `time_spread` could tell.
        """
        error = self.standard_error
        return Baseline(
            value=self.value,
            standard_error=error,
            rows=self.rows,
            chance=self.chance,
            spread=None if spread is None else spread[0],
            stretches=None if spread is None else spread[1],
            scale=scale_of(metric(self.metric).facts) if is_own_metric(self.metric) else None,
        )


class SliceQuality(Record):
    """Quality of one group of rows against the same group on the hold-out."""

    name: str
    rows: int
    value: FiniteFloat
    standard_error: FiniteFloat
    loss: FiniteFloat
    p_value: FiniteFloat
    lost: bool = Field(description="Significant after correction for the number of slices, and beyond the bound.")


def realised(
    y: npt.ArrayLike,
    scores: npt.ArrayLike,
    name: str,
    *,
    confidence: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    inclusion: npt.ArrayLike | None = None,
    days: npt.ArrayLike | None = None,
    entities: npt.ArrayLike | None = None,
) -> RealisedQuality:
    """Measure quality on mature labels.

    Args:
        y: Labels, shape (n,).
        scores: The champion's logged scores, shape (n,) or (n, classes).
        name: The name of the metric.
        confidence: The confidence of the two-sided interval.
        draws: The number of draws of the bootstrap.
        seed: The seed of the bootstrap.
        inclusion: Each row's probability of having been chosen for labelling, shape (n,), for labels given by hand.
            Rows count by its inverse (D. G. Horvitz and D. J. Thompson, "A generalization of sampling without
            replacement from a finite universe", Journal of the American Statistical Association 47 (1952)).
        days: The day of each row, shape (n,). Where rows of one day depend on each other, the standard error is that
            of days.
        entities: The entity of each row, such as the customer, shape (n,). Its rows count as a whole.

    Raises:
        DataError: no rows, one class only, or probabilities outside of (0, 1].
    """
    weights = None if inclusion is None else _inverse(inclusion)
    estimated = interval(y, scores, name, confidence=confidence, draws=draws, seed=seed, weights=weights)
    half = NormalDist().inv_cdf((1 + confidence) / 2)
    error = (estimated.upper - estimated.lower) / (2 * half)
    wider = 1.0
    if days is not None and error > 0:
        wider = max(1.0, dependent_error(error, error_by_days(y, scores, name, days, weights)) / error)
    if entities is not None and error > 0:
        wider = max(wider, (error_by_entities(y, scores, name, entities, weights) or 0.0) / error)
    return RealisedQuality(
        metric=name,
        rows=estimated.rows,
        value=estimated.value,
        lower=estimated.value - wider * (estimated.value - estimated.lower),
        upper=estimated.value + wider * (estimated.upper - estimated.value),
        standard_error=wider * error,
        chance=chance(y, scores, name, weights),
        confidence=confidence,
    )


def time_spread(
    y: npt.ArrayLike,
    scores: npt.ArrayLike,
    name: str,
    stretches: npt.ArrayLike,
    *,
    draws: int = 200,
    seed: int = 0,
    days: npt.ArrayLike | None = None,
    entities: npt.ArrayLike | None = None,
) -> tuple[float, int] | None:
    """By how much quality differs between stretches of time, beyond what their size explains.

    Args:
        y: Labels, shape (n,).
        scores: Scores, shape (n,) or (n, classes).
        name: The name of the metric.
        stretches: The stretch of each row, shape (n,): best as long as a monitoring window.
        draws: The number of draws of the bootstrap of each stretch.
        seed: The seed of the bootstrap.
        days: As for `realised`.
        entities: As for `realised`.

    Returns:
        The standard deviation, by the method of moments, and the number of stretches; None with fewer than 3 stretches
        that give a value.
    """
    labels, values, groups = np.asarray(y), np.asarray(scores), np.asarray(stretches)
    some = _groups_of(days, entities)
    qualities: list[RealisedQuality] = []
    for group in np.unique(groups):
        rows = groups == group
        try:
            qualities.append(realised(labels[rows], values[rows], name, draws=draws, seed=seed, **some(rows)))
        except (NotEnoughError, MetricError):  # too small, one class only, or the user's own metric fails on it
            continue
    if len(qualities) < 3:
        return None
    seen = float(np.var([quality.value for quality in qualities], ddof=1))
    chance_alone = float(np.mean([quality.standard_error**2 for quality in qualities]))
    return math.sqrt(max(0.0, seen - chance_alone)), len(qualities)


def _groups_of(
    days: npt.ArrayLike | None, entities: npt.ArrayLike | None
) -> Callable[[npt.NDArray[np.bool_]], dict[str, Any]]:
    """Return a function from chosen rows to those of their days and entities that are known."""
    known = {name: np.asarray(one) for name, one in (("days", days), ("entities", entities)) if one is not None}
    return lambda rows: {name: one[rows] for name, one in known.items()}


def chance(y: npt.ArrayLike, scores: npt.ArrayLike, name: str, weights: npt.ArrayLike | None = None) -> float | None:
    """Return the value of the best constant answer on these rows; None if the metric has no value for it.

    Args:
        y: Labels, shape (n,).
        scores: Scores, of which only the shape matters.
        name: The name of the metric.
        weights: Weight of each row, shape (n,).
    """
    labels, shape = np.asarray(y, dtype=np.float64), np.asarray(scores).shape
    row_weights = np.ones(labels.size) if weights is None else np.asarray(weights, dtype=np.float64)
    scale = metric(name)
    constant: Floats
    if len(shape) == 2:
        counts = np.bincount(labels.astype(np.int64), weights=row_weights, minlength=shape[1])
        constant = np.tile(counts / counts.sum(), (labels.size, 1))
    elif scale.facts.reads == "median":
        constant = np.full(labels.size, _median(labels, row_weights / (np.abs(labels) if name == "mape" else 1.0)))
    else:
        constant = np.full(labels.size, np.average(labels, weights=row_weights))
    try:
        return scale.score(labels, constant, weights)
    except (NotEnoughError, MetricError):
        return None


def by_slice(
    y: npt.ArrayLike,
    scores: npt.ArrayLike,
    name: str,
    slices: Mapping[str, npt.ArrayLike],
    baselines: Mapping[str, Baseline],
    *,
    bound: float,
    min_rows: int = 200,
    alpha: float = 0.01,
    draws: int = 500,
    seed: int = 0,
    days: npt.ArrayLike | None = None,
    entities: npt.ArrayLike | None = None,
) -> tuple[SliceQuality, ...]:
    """Measure quality by group, against the same group on the hold-out.

    Args:
        y: Labels, shape (n,).
        scores: Scores, shape (n,) or (n, classes).
        name: The name of the metric.
        slices: For each group's name whether each row is in it, shape (n,).
        baselines: For each group's name its quality on the hold-out; groups without one aren't judged.
        bound: The loss from which on a group has lost, in the metric's unit.
        min_rows: Smaller groups aren't judged.
        alpha: Share of false alarms among the groups that have lost (Benjamini-Hochberg).
        draws: The number of draws of the bootstrap.
        seed: The seed of the bootstrap.
        days: As for `realised`.
        entities: As for `realised`.
    """
    from scipy.stats import false_discovery_control

    labels, values, chosen = np.asarray(y), np.asarray(scores), metric(name)
    some = _groups_of(days, entities)
    losses: list[tuple[str, RealisedQuality, float, float]] = []
    for group in sorted(baselines.keys() & slices.keys()):
        rows = np.asarray(slices[group], dtype=np.bool_)
        if int(rows.sum()) < min_rows:
            continue
        try:
            quality = realised(labels[rows], values[rows], name, draws=draws, seed=seed, **some(rows))
        except (NotEnoughError, MetricError):  # one class or one day only: the metric has no value for this group
            continue
        loss = -chosen.gain(quality.value, baselines[group].value)
        error = math.hypot(quality.standard_error, baselines[group].standard_error)
        p_value = 1 - NormalDist().cdf(loss / error) if error > 0 else float(loss <= 0)
        losses.append((group, quality, loss, p_value))
    adjusted = false_discovery_control([slice_[-1] for slice_ in losses])
    return tuple(
        SliceQuality(
            name=group,
            rows=quality.rows,
            value=quality.value,
            standard_error=quality.standard_error,
            loss=loss,
            p_value=p_value,
            lost=bool(loss > bound and corrected < alpha),
        )
        for (group, quality, loss, p_value), corrected in zip(losses, adjusted, strict=True)
    )


def _inverse(inclusion: npt.ArrayLike) -> Floats:
    shares = np.asarray(inclusion, dtype=np.float64)
    impossible = shares[~((shares > 0) & (shares <= 1))]
    if impossible.size:
        raise DataError(f"{float(impossible[0])!r} is no probability of being labelled; allowed: above 0, up to 1")
    return 1 / shares


def _median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.where(np.isfinite(weights[order]), weights[order], 0.0))
    return float(values[order][np.searchsorted(below, below[-1] / 2)])
