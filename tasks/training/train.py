"""Train: try the candidates on folds of the training rows, rank them, and fit the best one on all rows."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

import pandas as pd

from everfit.blocks.errors import EverfitError, TrainingError
from everfit.blocks.extensions import is_reference
from everfit.blocks.policy import format_duration
from everfit.tasks.core.records import Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.models.skops_format import load_model
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.training import isolated
from everfit.tasks.training.folds import FEW_ROWS, folds_of
from everfit.tasks.training.in_process import FittedModel, fit_in_memory, fit_in_process, try_in_process, write_fitted
from everfit.tasks.training.pipelines import IF_FEW_ROWS, SPACES
from everfit.tasks.training.results import CandidateResult, Choice, Fitted
from everfit.tasks.training.sample import most_tried
from everfit.tasks.training.search import Attempt, Search, Setting, TuningRequest, TuningTrial, best_of
from everfit.tasks.training.worker_fit import no_workers

OnTrial = Callable[[int, TuningTrial], None]


def try_candidate(
    data: TrainingData,
    candidate: str,
    warm: Setting | None = None,
    *,
    attempt: Attempt | None = None,
    on_trial: OnTrial | None = None,
) -> CandidateResult:
    """Try a candidate's settings: fit each on earlier training rows and score it on later ones.

    A candidate that fails returns its error and does not end the turn. The only candidate is not tried if it has one
    setting, as there is nothing to choose.

    Args:
        data: Rows of the turn.
        candidate: Name of the candidate, or `package.module:factory`.
        warm: Best setting of the last turn.
        attempt: Function that tries settings by `try_setting`, wherever it likes; by default here, one by one.
        on_trial: Function to call after each setting with its number and result.

    Returns:
        The candidate's score, best setting and all trials.

    Raises:
        DataError: If there are no training rows, or fewer than two classes among them.
    """
    spec, policy = data.spec, data.spec.training
    if problem := no_workers(candidate):  # the workers themselves, where settings are tried, need not know
        return CandidateResult(candidate=candidate, metric=spec.metric, score=None, rows=0, seconds=0, error=problem)
    rows = data.training_rows(data.split.training)
    started = time.perf_counter()
    better = metric(spec.metric, spec.task).greater_is_better
    folds = folds_of(spec, rows)
    spans = ["all" if span is None else format_duration(span) for span in policy.spans]
    overrides = policy.parameters.get(candidate, {})
    first = [Setting(span=span) for span in spans]
    first += [Setting(parameters=other, span=spans[0]) for other in _if_few_rows(data, candidate, rows)]
    if warm is not None and warm.span in spans and warm not in first:
        first.append(warm)
    space = policy.search.spaces.get(candidate, SPACES.get(candidate, {}))
    space = {name: values for name, values in space.items() if name not in overrides}
    is_only = len(policy.candidates_for(spec.task)) == len(first) == 1 and not (policy.search.on and space)
    if is_only and not is_reference(candidate):  # a user's own might not end, which a try finds out
        return CandidateResult(
            candidate=candidate, metric=spec.metric, score=None, alone=True, rows=len(rows), seconds=0, setting=first[0]
        )
    search = Search(
        candidate=candidate,
        policy=policy.search,
        space=space,
        spans=spans,
        first=first,
        seed=policy.seed,
        greater_is_better=better,
        folds=len(folds),
        deadline=started + policy.time_limit.total_seconds(),
    )
    try:
        tries = search.run(attempt or partial(one_by_one, data), on_trial)
    finally:
        if is_reference(candidate):
            isolated.end_processes(candidate)
    best = best_of(tries, greater_is_better=better)
    return CandidateResult(
        candidate=candidate,
        metric=spec.metric,
        score=None if best is None else best.score,
        rows=len(rows),
        sample=most if len(folds[-1][0]) > (most := most_tried(len(data.features))) else None,
        seconds=round(time.perf_counter() - started, 3),
        error=tries[0].error if best is None else "",
        setting=Setting(span=spans[0]) if best is None else best.setting,
        tries=tries,
    )


def _if_few_rows(data: TrainingData, candidate: str, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the settings to try if there are few rows, except those that the spec overrides."""
    texts = any(not pd.api.types.is_numeric_dtype(rows[name].dtype) for name in data.features)
    for parameters in IF_FEW_ROWS.get(candidate, ()) if len(rows) < FEW_ROWS else ():
        for_texts = "categorical_features" in parameters
        if (texts or not for_texts) and not set(parameters) & set(data.spec.training.parameters.get(candidate, {})):
            yield parameters


def one_by_one(data: TrainingData, settings: Sequence[TuningRequest], deadline: float) -> Generator[TuningTrial]:
    """Try settings in this thread."""
    for request in settings:
        yield try_setting(data, request, deadline - time.perf_counter())


def try_setting(data: TrainingData, request: TuningRequest, seconds: float) -> TuningTrial:
    """Try one setting on all folds; the same setting on the same rows always scores the same.

    A user's own candidate runs in a separate process, which is ended if it takes too long.

    Args:
        data: Rows of the turn.
        request: The setting to try.
        seconds: Time limit, in seconds.

    Returns:
        The result of the setting.

    Raises:
        DataError: If there are no training rows, or fewer than two classes among them.
    """
    if not is_reference(request.candidate):
        return try_in_process(data, request, seconds)
    started = time.perf_counter()
    try:
        return isolated.try_isolated(data, request, seconds)
    except EverfitError as error:
        spent = round(time.perf_counter() - started, 3)
        return TuningTrial(setting=request.setting, score=None, seconds=spent, error=str(error))


def ranked(results: Sequence[CandidateResult]) -> list[CandidateResult]:
    """Return the candidates that could be trained, the best first; equals keep their order.

    Raises:
        TrainingError: If every candidate failed.
    """
    scored = [result for result in results if result.score is not None or result.alone]
    if not scored:
        errors = "; ".join(f"{result.candidate}: {result.error}" for result in results)
        raise TrainingError(f"no candidate could be trained: {errors}")
    sign = -1 if metric(scored[0].metric).greater_is_better else 1
    return sorted(scored, key=lambda result: sign * (result.score or 0.0))


def fit_best(data: TrainingData, results: Sequence[CandidateResult], window: Window, path: str) -> Fitted:
    """Fit the best candidate on all rows of a window, or the next best if that fails.

    Args:
        data: Rows of the turn.
        results: Results of the candidates.
        window: Span of event time to fit on.
        path: Path in the workspace for the fitted pipeline.

    Returns:
        The fitted pipeline.

    Raises:
        TrainingError: If no candidate could be fitted.
    """
    failures = []
    for result in ranked(results):
        try:
            return fit_on(data, result.candidate, window, path, result.setting)
        except Exception as problem:  # noqa: BLE001 - an estimator may raise anything; the next candidate is tried
            failures.append(f"{result.candidate}: {type(problem).__name__}: {problem}")
    raise TrainingError(f"no candidate could be fitted on {window}: {'; '.join(failures)}")


def fit_on(data: TrainingData, candidate: str, window: Window, path: str, setting: Setting | None = None) -> Fitted:
    """Fit a candidate on the rows of a window within its setting's span, and keep the pipeline at `path`."""
    setting = setting or Setting()
    if is_reference(candidate):
        return isolated.fit_isolated(data, candidate, window, path, setting)
    return fit_in_process(data, candidate, window, path, setting)


def fit_model(data: TrainingData, choice: Choice, window: Window, scratch: str) -> FittedModel:
    """Fit a candidate as `fit_on` does, and keep the model in memory.

    Args:
        data: Rows of the turn.
        choice: The candidate and its setting.
        window: Span of event time to fit on.
        scratch: Path of a file that is gone afterwards: a user's own candidate is fitted in another process.
    """
    if not is_reference(choice.candidate):
        return fit_in_memory(data, choice.candidate, window, choice.setting)
    try:
        fitted = isolated.fit_isolated(data, choice.candidate, window, scratch, choice.setting)
        content = data.workspace.read(scratch)
        return FittedModel(load_model(content), fitted.trained_on, fitted.rows, fitted.workers, (fitted, content))
    finally:
        data.workspace.delete(scratch)


def keep_model(data: TrainingData, choice: Choice, model: FittedModel, path: str) -> Fitted:
    """Write a model that `fit_model` returned to the workspace."""
    if model.written is None:
        return write_fitted(data, choice.candidate, choice.setting, model, path)
    fitted, content = model.written
    data.workspace.write(path, content)
    return fitted.model_copy(update={"path": path})
