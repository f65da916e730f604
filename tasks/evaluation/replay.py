"""Replay: the prediction log of the last days, answered again by the challenger."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, MetricError, NotEnoughError
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import label_is_visible
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.answer_divergence import MOST_COLUMNS, divergence_by_slice, divergence_texts
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.model_comparison import compare_models
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.gate.checks.replay import Replay
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.scoring.scores import Scores
from everfit.tasks.statistics.scores import onto_classes
from everfit.tasks.storage.row_hashes import indexed_by_key
from everfit.tasks.storage.tables import KEY

Floats = npt.NDArray[np.float64]

_MOST_ROWS = 20_000


def measure(measurement: Measurement) -> Replay | None:
    """Answer the rows again that the champion has answered, where the gate asks for it; None if there are none."""
    spec, data, incumbent = measurement.spec, measurement.data, measurement.incumbent
    limits, time = spec.gate.replay, spec.columns.event_time
    if limits is None or incumbent is None:
        return None
    log, known = (data.workspace.table(spec.name, name) for name in ("predictions", "labels"))
    if not log.exists():
        return None
    model = measurement.scored.models["challenger"]
    features = [str(name) for name in model.feature_names_in_]
    window = Window(since=data.until - timedelta(days=limits.days), until=data.until)
    answered = read_labelled_predictions(
        log,
        known,
        window,
        time or prediction_log.PREDICTED_AT,
        data.until,
        task=spec.task,
        classes=[str(name) for name in getattr(incumbent.model, "classes_", ())],
        version=incumbent.version.version,
        also=[prediction_log.PREDICTION, *features, *slice_columns(spec), *spec.columns.key],
        entity=spec.columns.entity,
        clients=spec.monitoring.clients,
    )
    if missing := [name for name in features if name not in answered.rows]:
        raise DataError(
            f"{spec.name}: gate.replay can't answer the prediction log again, because it lacks {missing[0]!r}, which "
            "the challenger needs; score with the column for some days, or remove gate.replay"
        )
    answered = _with_labels_of_source(answered, data)
    known_classes = [str(name) for name in getattr(model, "classes_", ())]
    answered = _sampled(answered, spec.training.seed).among(known_classes)
    if not len(answered.rows):
        return None
    inputs = InputSchema.of_frame(measurement.scored.rows, task=spec.task, features=features)
    columns = {name: _values(answered.rows[name]) for name in features}
    scores = Scorer(model, inputs).score_columns(columns)
    new = pd.DataFrame({prediction_log.PREDICTION: scores.columns()[prediction_log.PREDICTION]})
    slices = divergence_by_slice(new, answered.rows, slice_columns(spec) or features[:MOST_COLUMNS], spec.task)
    logged = _as_logged(answered, scores, known_classes)
    apart = np.abs(answered.scores - logged)
    changes = apart if apart.ndim == 1 else apart.max(axis=1)  # of several classes, the one that changes most
    seen = max(measurement.challenger.trained_on.until, incumbent.version.trained_until)
    labelled = answered.labelled & ~answered.unknown & np.asarray(answered.rows[answered.event_time] >= seen)
    return Replay(
        window=window,
        rows=len(answered.rows),
        changed=_changed(new, answered),
        mean_change=float(changes.mean()),
        large_change=float(np.quantile(changes, 0.95)),
        slices=tuple(divergence_texts(slices)),
        labelled=int(labelled.sum()),
        comparison=_compared(measurement, answered, logged, labelled),
    )


def _with_labels_of_source(answered: LabelledPredictions, data: TrainingData) -> LabelledPredictions:
    """Return the same rows with the labels that the turn has read from the source, where none is recorded."""
    spec, rows = data.spec, answered.rows
    if not spec.columns.key or spec.columns.event_time is None or not len(rows):
        return answered  # the keys of the dataset are not those of the log
    found = data.all_rows(answered.window)
    found = found[label_is_visible(found, spec, data.until) & found[KEY].isin(rows[KEY])]
    times = found[spec.columns.label_time or spec.columns.event_time]
    known = labels.label_rows(found[KEY], found[spec.columns.target], times, spec.task, labels.SOURCE)
    by_key = indexed_by_key(known.drop_duplicates(KEY, keep="last"), KEY)[labels.LABEL]
    own = rows[labels.LABEL]
    return replace(answered, rows=rows.assign(**{labels.LABEL: own.where(own.notna(), rows[KEY].map(by_key))}))


def _sampled(answered: LabelledPredictions, seed: int) -> LabelledPredictions:
    if len(answered.rows) <= _MOST_ROWS:
        return answered
    chosen = np.zeros(len(answered.rows), dtype=np.bool_)
    chosen[np.random.default_rng(seed).choice(len(chosen), _MOST_ROWS, replace=False)] = True
    return answered.of(chosen)


def _values(column: "pd.Series[Any]") -> list[Any]:
    return [None if pd.isna(value) else value for value in column.tolist()]


def _changed(new: pd.DataFrame, answered: LabelledPredictions) -> float:
    then, now = answered.rows[prediction_log.PREDICTION], new[prediction_log.PREDICTION]
    if answered.task != "regression":
        return float((then.astype("str").to_numpy() != now.astype("str").to_numpy()).mean())
    spread = float(then.std())
    return float(np.abs(then.to_numpy(dtype=np.float64) - now.to_numpy(dtype=np.float64)).mean()) / (spread or 1.0)


def _as_logged(answered: LabelledPredictions, scores: Scores, known: list[str]) -> Floats:
    """Return a model's scores in the form of the champion's."""
    if answered.task == "multiclass" and scores.probabilities is not None:
        return onto_classes(scores.probabilities, known, answered.every_class)
    return np.asarray(scores.score, dtype=np.float64)


def _compared(
    measurement: Measurement, answered: LabelledPredictions, scores: Floats, chosen: npt.NDArray[np.bool_]
) -> PairedComparison | None:
    if not chosen.any():
        return None
    labelled = answered.of(chosen)
    pair = {"challenger": scores[chosen], "champion": answered.scores[chosen]}
    rows = labelled.rows.reset_index(drop=True)
    scored = ScoredRows(answered.task, rows, labelled.truth, pair, list(answered.every_class), {})
    try:
        return compare_models(measurement.spec, scored, "champion")
    except (DataError, MetricError, NotEnoughError):
        return None  # too few rows, or too few of a class
