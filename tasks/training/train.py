"""Train: try the candidates on time-ordered folds of the training rows, choose, and fit the best on all of them."""

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
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.training import isolated
from everfit.tasks.training.folds import FEW_ROWS, folds_of
from everfit.tasks.training.in_process import fit_here, try_here
from everfit.tasks.training.pipelines import IF_FEW_ROWS, SPACES
from everfit.tasks.training.results import CandidateResult, Fitted
from everfit.tasks.training.search import Attempt, Search, Setting, TuningRequest, TuningTrial, best_of

OnTrial = Callable[[int, TuningTrial], None]


def try_candidate(
    data: TrainingData,
    candidate: str,
    warm: Setting | None = None,
    *,
    attempt: Attempt | None = None,
    told: OnTrial | None = None,
) -> CandidateResult:
    """Try a candidate's settings: fit each on earlier training rows and score it on later ones.

    A candidate that fails ends with its reason; it does not end the turn.

    Args:
        data: The turn's rows.
        candidate: Which.
        warm: What did best in the last turn.
        attempt: Tries settings by `try_setting`, wherever it likes; by default here, one by one.
        told: Called after each setting with its number and outcome.

    Raises:
        DataError: there are no training rows, or no two classes among them.
    """
    spec, policy = data.spec, data.spec.training
    rows = data.training_rows(data.split.training)
    started = time.perf_counter()
    better = metric(spec.metric, spec.task).greater_is_better
    spans = ["all" if span is None else format_duration(span) for span in policy.spans]
    given = policy.parameters.get(candidate, {})
    first = [Setting(span=span) for span in spans]
    first += [Setting(parameters=other, span=spans[0]) for other in _if_few_rows(data, candidate, rows)]
    if warm is not None and warm.span in spans and warm not in first:
        first.append(warm)
    space = policy.search.spaces.get(candidate, SPACES.get(candidate, {}))
    space = {name: each for name, each in space.items() if name not in given}
    search = Search(
        candidate=candidate,
        policy=policy.search,
        space=space,
        spans=spans,
        first=first,
        seed=policy.seed,
        greater_is_better=better,
        folds=len(folds_of(spec, rows)),
        deadline=started + policy.time_limit.total_seconds(),
    )
    try:
        tries = search.run(attempt or partial(one_by_one, data), told)
    finally:
        if is_reference(candidate):
            isolated.end_processes(candidate)
    best = best_of(tries, greater_is_better=better)
    return CandidateResult(
        candidate=candidate,
        metric=spec.metric,
        score=None if best is None else best.score,
        rows=len(rows),
        seconds=round(time.perf_counter() - started, 3),
        error=tries[0].error if best is None else "",
        setting=Setting(span=spans[0]) if best is None else best.setting,
        tries=tries,
    )


def _if_few_rows(data: TrainingData, candidate: str, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Parameters that are tried beside the defaults where there are few rows, but for those that the spec has set."""
    texts = any(not pd.api.types.is_numeric_dtype(rows[name].dtype) for name in data.features)
    for parameters in IF_FEW_ROWS.get(candidate, ()) if len(rows) < FEW_ROWS else ():
        for_texts = "categorical_features" in parameters
        if (texts or not for_texts) and not set(parameters) & set(data.spec.training.parameters.get(candidate, {})):
            yield parameters


def one_by_one(data: TrainingData, settings: Sequence[TuningRequest], deadline: float) -> Generator[TuningTrial]:
    """Try settings in this thread."""
    for asked in settings:
        yield try_setting(data, asked, deadline - time.perf_counter())


def try_setting(data: TrainingData, asked: TuningRequest, seconds: float) -> TuningTrial:
    """Try one setting on all folds; the same setting of the same rows scores the same wherever it is tried.

    The user's own candidate runs in a process of its own, which is ended when it takes too long.

    Args:
        data: The turn's rows.
        asked: The setting.
        seconds: That it may take.

    Raises:
        DataError: there are no training rows, or no two classes among them.
    """
    if not is_reference(asked.candidate):
        return try_here(data, asked, seconds)
    started = time.perf_counter()
    try:
        return isolated.try_setting(data, asked, seconds)
    except EverfitError as error:
        spent = round(time.perf_counter() - started, 3)
        return TuningTrial(setting=asked.setting, score=None, seconds=spent, error=str(error))


def ranked(trials: Sequence[CandidateResult]) -> list[CandidateResult]:
    """The candidates that could be trained, the best first; of equals the one listed first.

    Raises:
        TrainingError: every candidate failed.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        told = "; ".join(f"{trial.candidate}: {trial.error}" for trial in trials)
        raise TrainingError(f"no candidate could be trained: {told}")
    sign = -1 if metric(scored[0].metric).greater_is_better else 1
    return sorted(scored, key=lambda trial: sign * (trial.score or 0.0))


def fit_best(data: TrainingData, trials: Sequence[CandidateResult], window: Window, path: str) -> Fitted:
    """Fit the candidate that did best on all rows of a window; the next best when that one fails now.

    Raises:
        TrainingError: none could be fitted.
    """
    failures = []
    for trial in ranked(trials):
        try:
            return fit_on(data, trial.candidate, window, path, trial.setting)
        except Exception as problem:  # noqa: BLE001 - an estimator may raise anything; the last one's reason is told
            failures.append(f"{trial.candidate}: {type(problem).__name__}: {problem}")
    raise TrainingError(f"no candidate could be fitted on {window}: {'; '.join(failures)}")


def fit_on(data: TrainingData, candidate: str, window: Window, path: str, setting: Setting | None = None) -> Fitted:
    """Fit a candidate on all rows of a window, as far back as its setting's span goes, and keep it at `path`."""
    setting = setting or Setting()
    if is_reference(candidate):
        return isolated.fit_on(data, candidate, window, path, setting)
    return fit_here(data, candidate, window, path, setting)
