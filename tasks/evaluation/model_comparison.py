"""Compare the challenger with another model on scored rows, as the gate's policy says."""

import numpy as np

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.evaluation.scored_rows import ScoredRows, resampling_days
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.dependent_rows import Rows, compare_dependent
from everfit.tasks.statistics.metrics import metric


def compare_models(spec: ModelSpec, scored: ScoredRows, other: str) -> PairedComparison:
    """Compare the challenger with another model.

    Args:
        spec: Its gate says which rows count as independent, and with which confidence to bound the difference.
        scored: The rows, scored by both.
        other: Name of the other model, such as `champion`.

    Raises:
        MetricError: The user's own metric fails.
        NotEnoughError: There are too few rows, or too few of a class.
    """
    measured = metric(spec.metric, spec.task)
    if spec.gate.resample == "auto" and spec.columns.event_time is not None:
        rows = scored.rows
        order = np.argsort(rows[spec.columns.time].to_numpy(), kind="stable")
        entities = {
            name: rows[name].astype("str").to_numpy()[order]
            for name in spec.columns.key
            if name in rows and name != spec.columns.event_time
        }
        return compare_dependent(
            Rows(
                measured,
                scored.truth[order],
                scored.scores["challenger"][order],
                scored.scores[other][order],
                rows[spec.columns.time].to_numpy("datetime64[ns]").astype(np.int64)[order],
                entities,
            ),
            spec.gate.confidence,
        )
    return compare(
        scored.truth,
        scored.scores["challenger"],
        scored.scores[other],
        measured,
        confidence=spec.gate.confidence,
        draws=spec.gate.draws,
        seed=spec.training.seed,
        clusters=resampling_days(spec, scored.rows),
    )
