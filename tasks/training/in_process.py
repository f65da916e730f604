"""Try settings and fit candidates in this process."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.models.skops_format import dump_model, trusted_types
from everfit.tasks.statistics.business_value import best_threshold
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.scores import class_indices, class_list, model_scores
from everfit.tasks.training.fitting import fit, is_member, since_of
from everfit.tasks.training.folds import folds_of
from everfit.tasks.training.results import Choice, Fitted
from everfit.tasks.training.sample import most_tried, sample_rows
from everfit.tasks.training.search import Evaluate, Setting, TimeLimitReached, TuningRequest, TuningTrial, score_setting
from everfit.tasks.training.worker_fit import WorkerFit, needs_workers

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


class FittedModel(NamedTuple):
    """A fitted pipeline in memory.

    Attributes:
        pipeline: The pipeline.
        window: The window that it was fitted on.
        rows: Number of its rows.
        workers: Number of Dask workers that fitted it; 0 if it was fitted in one process.
        written: Its record and its file, if another process has fitted it.
    """

    pipeline: "Pipeline"
    window: Window
    rows: int
    workers: int = 0
    written: tuple[Fitted, bytes] | None = None


def try_in_process(data: TrainingData, request: TuningRequest, seconds: float) -> TuningTrial:
    """Try one setting in this process; see `try_setting`."""
    deadline = time.perf_counter() + seconds
    rows = data.training_rows(data.split.training)
    better = metric(data.spec.metric, data.spec.task).greater_is_better
    evaluate = _evaluation(data, request.candidate, rows, deadline)
    return score_setting(request, evaluate, greater_is_better=better, deadline=deadline)


def _evaluation(data: TrainingData, candidate: str, rows: pd.DataFrame, deadline: float) -> Evaluate:
    """Return a function that scores a setting on every fold.

    Each fold fits on the rows within the setting's span, or a sample if they are many, and validates on the same rows
    for every setting.
    """
    spec, names = data.spec, data.spec.columns
    classes = class_list(rows[names.target], spec.task)
    scored, folds = metric(spec.metric, spec.task), folds_of(spec, rows)

    def scores(setting: Setting) -> Iterator[float]:
        choice = Choice(candidate=candidate, setting=setting)
        for number, (fitted, validated) in enumerate(folds):
            if time.perf_counter() > deadline:
                raise TimeLimitReached
            earlier, later = rows.iloc[fitted], rows.iloc[validated]
            since = since_of(setting.span, later[names.time].iloc[0].to_pydatetime())
            if since is not None:
                earlier = earlier[earlier[names.time] >= since]
            members = data.members.setdefault(number, {})
            some = sample_rows(spec, earlier, most_tried(len(data.features)))
            model = fit(spec, data.features, candidate, setting, some, members=members)
            if is_member(spec, choice):
                members[choice.canonical_json()] = model
            predicted = model_scores(model, later[data.features], classes, spec.task)
            yield scored.score(class_indices(later[names.target], classes, spec.task), predicted)

    return scores


def fit_in_process(data: TrainingData, candidate: str, window: Window, path: str, setting: Setting) -> Fitted:
    """Fit a candidate in this process; see `fit_on`."""
    return write_fitted(data, candidate, setting, fit_in_memory(data, candidate, window, setting), path)


def fit_in_memory(data: TrainingData, candidate: str, window: Window, setting: Setting) -> FittedModel:
    """Fit a candidate on the rows of a window within its setting's span."""
    since = since_of(setting.span, window.until)
    if since is not None and (window.since is None or window.since < since):
        window = window.model_copy(update={"since": since})
    rows = data.training_rows(window)
    if not needs_workers(candidate):
        return FittedModel(fit(data.spec, data.features, candidate, setting, rows), window, len(rows))
    by_workers = WorkerFit(data, candidate, window)
    model = fit(data.spec, data.features, candidate, setting, rows, elsewhere=by_workers)
    return FittedModel(model, window, by_workers.rows, workers=by_workers.workers)


def write_fitted(data: TrainingData, candidate: str, setting: Setting, model: FittedModel, path: str) -> Fitted:
    """Write a fitted pipeline to the workspace, with its threshold if the spec values predictions.

    Raises:
        ModelError: It holds something that everfit does not trust.
    """
    content = dump_model(model.pipeline)
    trusted_types(content)  # refuse now a model that could not be loaded later
    data.workspace.write(path, content)
    return Fitted(
        candidate=candidate,
        path=path,
        rows=model.rows,
        trained_on=model.window,
        features=tuple(data.features),
        setting=setting,
        workers=model.workers,
        threshold=_threshold(data, candidate, setting, model.window),
    )


def _threshold(data: TrainingData, candidate: str, setting: Setting, window: Window) -> float | None:
    """Return the most valuable threshold on the last rows, for a model fitted on the earlier ones."""
    value, target = data.spec.training.business_value, data.spec.columns.target
    if value is None or value.function is not None:
        return None
    rows = data.training_rows(window)
    ((fitted, validated),) = folds_of(data.spec, rows, 1)
    model = fit(data.spec, data.features, candidate, setting, rows.iloc[fitted])
    classes = class_list(rows[target], data.spec.task)
    later = rows.iloc[validated]
    predicted = model_scores(model, later[data.features], classes, data.spec.task)
    return best_threshold(value, class_indices(later[target], classes, data.spec.task), predicted)
