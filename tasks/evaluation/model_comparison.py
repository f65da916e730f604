"""Compare the challenger with another model on scored rows, as the gate's policy says."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.paired_comparison import EarlierGains, PairedComparison
from everfit.tasks.evaluation.scored_rows import ScoredRows, resampling_days
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.dependent_comparison import compare_dependent
from everfit.tasks.statistics.dependent_rows import Rows
from everfit.tasks.statistics.metrics import Floats, Metric, metric

Codes = npt.NDArray[np.int64]
Earlier = Sequence[EarlierGains] | None


def compare_models(spec: ModelSpec, scored: ScoredRows, other: str, earlier: Earlier = None) -> PairedComparison:
    """Compare the challenger with another model.

    Args:
        spec: Its gate says which rows count as independent, and with which confidence to bound the difference.
        scored: The rows, scored by both.
        other: Name of the other model, such as `champion`.
        earlier: The autocorrelation of earlier comparisons of the model, oldest first. Its own is recorded then, for
            later ones. Without it neither is done.

    Raises:
        DataError: The rows lack the column of the entity.
        MetricError: The user's own metric fails.
        NotEnoughError: There are too few rows, or too few of a class.
    """
    measured = metric(spec.metric, spec.task)
    return compare_rows(spec, scored, measured, scored.scores["challenger"], scored.scores[other], earlier)


def compare_rows(  # noqa: PLR0917 - the same rows as several arrays
    spec: ModelSpec,
    scored: ScoredRows,
    measured: Metric,
    new: Floats,
    old: Floats,
    earlier: Earlier = None,
) -> PairedComparison:
    """Compare two answers to each row by a metric.

    Args:
        spec: As in `compare_models`.
        scored: The rows.
        measured: The metric.
        new: Scores of the challenger; shape (rows,) or (rows, classes).
        old: Scores of the other model.
        earlier: As in `compare_models`.

    Raises:
        DataError: As in `compare_models`; so are its other errors.
    """
    if spec.gate.resample == "auto" and spec.columns.event_time is not None:
        rows = scored.rows
        times = rows[spec.columns.time].to_numpy("datetime64[ns]").astype(np.int64)
        order = np.argsort(times, kind="stable")
        parts = [
            name
            for name in spec.columns.key
            if name in rows and name not in {spec.columns.event_time, spec.columns.entity}
        ]
        whole = entity_codes(spec, rows)
        return compare_dependent(
            Rows(
                measured,
                scored.truth[order],
                new[order],
                old[order],
                times[order],
                {name: codes[order] for name in parts if (codes := _shared(rows[name])) is not None},
                {} if whole is None else {str(spec.columns.entity): whole[order]},
            ),
            spec.gate.confidence,
            earlier,
        )
    return compare(
        scored.truth,
        new,
        old,
        measured,
        confidence=spec.gate.confidence,
        draws=spec.gate.draws,
        seed=spec.training.seed,
        clusters=entity_codes(spec, scored.rows) if spec.columns.entity else resampling_days(spec, scored.rows),
    )


def entity_codes(spec: ModelSpec, rows: pd.DataFrame) -> Codes | None:
    """Return the number of the entity that each row belongs to, shape (rows,); None if the spec names none.

    Args:
        spec: Its `columns.entity` names the column.
        rows: Shape (rows, columns).

    Raises:
        DataError: The rows lack the column.
    """
    name = spec.columns.entity
    if name is None:
        return None
    if name not in rows:
        raise DataError(
            f"{spec.name}: columns.entity: {name!r} is no column of the dataset; bring it, or remove entity"
        )
    return _codes(rows[name])


def _shared(column: pd.Series) -> Codes | None:
    """Return the numbers of a column's values; None if each row has its own, as a key's column alone often has."""
    return None if column.is_unique else _codes(column)


def _codes(column: pd.Series) -> Codes:
    """Number the values of a column in the order of their text; a missing value is a value; shape (rows,)."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(pd.Series(values).astype("str").to_numpy(), kind="stable")] = np.arange(len(values))
    return np.asarray(ranks[codes], dtype=np.int64)
