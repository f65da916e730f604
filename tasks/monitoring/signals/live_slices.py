"""Quality by slice: the groups of protected columns, and the values of the columns that the gate's spec names."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.monitoring.signals.quality import by_slice, realised
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.triage.quality_signals import Baseline, SliceFigure

Chosen = npt.NDArray[np.bool_]

_GROUPS = 20
"""A column gives slices for at most this many of its values."""
_QUARTERS = (0.25, 0.5, 0.75)


def watched_columns(spec: ModelSpec) -> tuple[str, ...]:
    """Return the columns whose values are watched as slices: the protected ones, and those that the gate checks."""
    return tuple(dict.fromkeys([*spec.columns.protected, *slice_columns(spec)]))


def measure_slices(
    judged: LabelledPredictions, holdout: LabelledPredictions, spec: ModelSpec, bound: float
) -> tuple[SliceFigure, ...]:
    """Measure each slice that has enough rows, against the same slice of the hold-out.

    Args:
        judged: The champion's answers with mature labels.
        holdout: Its answers to the hold-out.
        spec: The model's spec.
        bound: The loss from which on a slice has lost, in the metric's unit.
    """
    slices: dict[str, Chosen] = {}
    baselines: dict[str, Baseline] = {}
    for column in watched_columns(spec):
        if column not in judged.rows or column not in holdout.rows:
            continue
        for group, old, new in _groups(holdout.rows[column], judged.rows[column]):
            part = holdout.of(old)
            if len(part.rows) < spec.monitoring.min_labels:
                continue
            try:
                own = realised(part.truth, part.scores, spec.metric, draws=200, days=part.days, entities=part.entities)
            except NotEnoughError:
                continue
            name = f"{column}={group}"
            baselines[name], slices[name] = own.baseline(), new
    found = by_slice(
        judged.truth,
        judged.scores,
        spec.metric,
        slices,
        baselines,
        bound=bound,
        min_rows=spec.monitoring.min_labels,
        draws=200,
        days=judged.days,
        entities=judged.entities,
    )
    sign = 1 if metric(spec.metric).greater_is_better else -1
    return tuple(
        SliceFigure(
            name=one.name,
            rows=one.rows,
            value=one.value,
            standard_error=one.standard_error,
            expected=baselines[one.name].value,
            bound=baselines[one.name].value - sign * bound,
            lost=one.lost,
        )
        for one in found
    )


def _groups(old: "pd.Series[Any]", new: "pd.Series[Any]") -> Iterator[tuple[str, Chosen, Chosen]]:
    """Cut the rows of the hold-out and of the window alike: by value, or a number of many values by its quarters."""
    if pd.api.types.is_numeric_dtype(old.dtype) and old.nunique() > _GROUPS:
        before, now = (pd.to_numeric(side, errors="coerce").to_numpy(dtype=np.float64) for side in (old, new))
        edges = np.unique(np.nanquantile(before, _QUARTERS))
        for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
            yield _span(low, high), (before >= low) & (before < high), (now >= low) & (now < high)
        return
    texts, current = (side.astype("object").where(side.notna(), "missing").map(str).to_numpy() for side in (old, new))
    for group in list(pd.Series(texts).value_counts().index[:_GROUPS]):
        yield str(group), texts == group, current == group


def _span(low: float, high: float) -> str:
    if low == -np.inf:
        return f"below {high:g}"
    return f"{low:g} or more" if high == np.inf else f"{low:g} to {high:g}"
