"""Slices: rows grouped by the values of a column, and how challenger and champion compare on each."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.model_comparison import compare_models
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.gate.evidence import SliceEvidence

MAX_VALUES = 50
"""The largest number of values of a column that form slices; rarer values share one slice."""
_DISCRETE = 10
_BINS = 4


def slice_columns(spec: ModelSpec) -> tuple[str, ...]:
    """The columns whose values make the slices: those of the gate's policy, by default the protected ones."""
    named = spec.gate.slices.columns if spec.gate.slices is not None else ()
    return named or spec.columns.protected


def groups(column: pd.Series) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Cut rows by a column: each value, or the quarters of a number with many values; missing ones are a group.

    Yields:
        The group in words, and which rows are in it; every row is in one.

    Example:
        >>> [name for name, _ in groups(pd.Series(["b", "a", None]))]
        ['a', 'b', 'missing']
    """
    missing = column.isna().to_numpy(dtype=np.bool_)
    present = column[~missing]
    if pd.api.types.is_numeric_dtype(column.dtype) and present.nunique() > _DISCRETE:
        values = column.to_numpy(dtype=np.float64)
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, _BINS + 1)[1:-1]))
        for number, lower in enumerate([-np.inf, *edges]):
            upper = [*edges, np.inf][number]
            name = f"below {upper:g}" if number == 0 else f"{lower:g} or more"
            name = name if lower == -np.inf or upper == np.inf else f"{lower:g} to below {upper:g}"
            yield name, (values >= lower) & (values < upper)
    else:
        frequent = sorted(present.value_counts().index[:MAX_VALUES], key=str)
        for value in frequent:
            is_whole = isinstance(value, float) and value.is_integer()
            yield str(int(value) if is_whole else value), (column == value).fillna(False).to_numpy(dtype=np.bool_)
        rest = ~missing & ~column.isin(frequent).to_numpy(dtype=np.bool_)
        if rest.any():
            yield "any other", rest
    if missing.any():
        yield "missing", missing


def slice_evidence(spec: ModelSpec, scored: ScoredRows, columns: Sequence[str]) -> tuple[SliceEvidence, ...]:
    """Compare challenger and champion on each slice that is large enough.

    Args:
        spec: Its gate says how many rows are enough, and how to compare.
        scored: The hold-out.
        columns: The columns whose values form the slices.

    Raises:
        DataError: a column isn't there.
    """
    if absent := [name for name in columns if name not in scored.rows.columns]:
        raise DataError(f"gate.slices.columns: {absent[0]!r} is no column of the dataset; take it out, or bring it")
    least = spec.gate.slices.min_rows if spec.gate.slices is not None else 2
    evidence = []
    for name in columns:
        for value, chosen in groups(scored.rows[name].reset_index(drop=True)):
            rows = int(chosen.sum())
            others = None if spec.task == "regression" else _outside_largest_class(scored.truth[chosen])
            enough = rows >= least and (others is None or others > 0)  # of one class alone nothing can be compared
            part = scored.subset(chosen) if enough and "champion" in scored.scores else None
            evidence.append(
                SliceEvidence(
                    column=name, value=value, rows=rows, other_class_rows=others, comparison=_compared(spec, part)
                )
            )
    return tuple(evidence)


def _outside_largest_class(truth: npt.NDArray[np.float64]) -> int:
    return truth.size - int(np.unique(truth, return_counts=True)[1].max(initial=0))


def _compared(spec: ModelSpec, part: ScoredRows | None) -> PairedComparison | None:
    if part is None:
        return None
    try:
        return compare_models(spec, part, "champion")
    except DataError:
        return None  # nothing is known of it, and the gate says so


def measure(measurement: Measurement) -> tuple[SliceEvidence, ...] | None:
    """Compare the models on each slice, where the gate asks for it and there is a champion."""
    spec = measurement.spec
    if spec.gate.slices is None or measurement.incumbent is None:
        return None
    return slice_evidence(spec, measurement.scored, slice_columns(spec))
