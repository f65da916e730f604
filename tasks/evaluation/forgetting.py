"""Forgetting: how challenger and champion compare on rows of the past that neither has been trained on."""

import numpy as np

from everfit.blocks.errors import DataError, MetricError, NotEnoughError
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import kept_rows
from everfit.tasks.data.split import Sample
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.model_comparison import compare_models
from everfit.tasks.evaluation.scored_rows import ScoredRows, score_rows
from everfit.tasks.gate.checks.forgetting import Forgetting, Stretch


def measure(measurement: Measurement) -> Forgetting | None:
    """Compare the models on the kept rows before the hold-out, where the gate asks for it and rows have event times."""
    spec, data, incumbent = measurement.spec, measurement.data, measurement.incumbent
    limits, holdout, time = spec.gate.forgetting, data.split.holdout, spec.columns.time
    if limits is None or incumbent is None or isinstance(holdout, Sample) or holdout.since is None:
        return None
    models = {"challenger": measurement.scored.models["challenger"], "champion": incumbent.model}
    also = [*(str(name) for name in incumbent.model.feature_names_in_), *spec.columns.key]
    past = data.rows(Window(since=data.split.training.since, until=holdout.since), "ask about the past", also)
    kept = past[kept_rows(past, spec)].reset_index(drop=True)
    count = min(limits.stretches, len(kept) // limits.min_rows)
    if count == 0:
        return Forgetting(stretches=())
    scored = score_rows(spec, kept, models)
    places = np.arange(len(kept)) * count // len(kept)
    ends = [kept[time][places == part].min().to_pydatetime() for part in range(1, count)]
    edges = [kept[time].min().to_pydatetime(), *ends, holdout.since]
    stretches = []
    for part in range(count):
        chosen = scored.subset(places == part)
        window = Window(since=edges[part], until=edges[part + 1])
        stretches.append(Stretch(window=window, rows=len(chosen.rows), comparison=_compared(measurement, chosen)))
    return Forgetting(stretches=tuple(stretches))


def _compared(measurement: Measurement, scored: ScoredRows) -> PairedComparison | None:
    try:
        return compare_models(measurement.spec, scored, "champion")
    except (DataError, MetricError, NotEnoughError):
        return None  # too few rows of a class
