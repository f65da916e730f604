"""The matrix of a rehearsal: a model for each training end, and how each does in each later window.

A model is fitted as the spec's first champion was: the same candidate with the same setting, on all rows that were
known then. So the model of the first end is that champion, and each model serves all policies that train then.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import EverfitError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record
from everfit.tasks.data.commit import commit_batch, take_snapshot
from everfit.tasks.data.cut import cut
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import validate
from everfit.tasks.rehearsal.measuring import estimator_scores, measure, of_rows
from everfit.tasks.rehearsal.plan import RehearsalPlan
from everfit.tasks.rehearsal.policies import Floats
from everfit.tasks.statistics.scores import prior_scores
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.results import Choice, Fitted, read_model
from everfit.tasks.training.train import fit_on

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class Fit(Record):
    """A model of a training end.

    Attributes:
        place: Number of the window before which it was fitted.
        fitted: The model; None if it could not be fitted.
        seconds: Processor time of the fit alone.
        note: Why there is no model.
    """

    place: int
    fitted: Fitted | None = None
    seconds: float = 0.0
    note: str = ""


class Matrix(Record):
    """How the model of each training end does in each window, counted from the first release.

    Attributes:
        quality: The metric by training end and window; None where it isn't known or the window is earlier.
        money: The value in place of the metric; empty without a value.
        seconds: Processor time of each fit.
        fitted: Whether there is a model of each training end; the one before counts where there is none.
        chance: The metric of a constant answer in the first window; None if unknown.
        predicting: Processor time of all predictions.
        notes: Sentences on fits that failed.
    """

    quality: tuple[tuple[float | None, ...], ...]
    money: tuple[tuple[float | None, ...], ...] = ()
    seconds: tuple[float, ...] = ()
    fitted: tuple[bool, ...] = ()
    chance: float | None = None
    predicting: float = Field(default=0.0)
    notes: tuple[str, ...] = ()

    def array(self, *, money: bool = False) -> Floats:
        """Return the metric or the value as an array with NaN for None; shape (windows, windows)."""
        rows = self.money if money else self.quality
        return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)


def fit_all(  # noqa: PLR0917 - what to fit, and where
    spec: ModelSpec,
    plan: RehearsalPlan,
    first: int,
    choice: Choice,
    folder: Path,
    done: Callable[[], object] = lambda: None,
    workers: Executor | None = None,
) -> list[Fit]:
    """Fit a model for each training end from the first release on; what was fitted by an earlier run is kept.

    The rows of each end are prepared once, one end after the other, because each takes in what is new since the last.

    Args:
        spec: The model's spec.
        plan: The plan of the rehearsal.
        first: Place of the first release.
        choice: Candidate and setting of the first champion.
        folder: The folder of the matrix.
        done: Called after each fit.
        workers: Where the models are fitted side by side; None to fit each before the next one is prepared.
    """
    workspace, fits = Workspace(str(folder / "workspace")), list[Fit | Future[Fit]]()
    for place in range(first, len(plan.ends) - 1):
        path = _fit_file(folder, place)
        if path.exists():
            fits.append(Fit.model_validate_json(path.read_bytes()))
            continue
        prepared = _prepare(spec, plan, place, workspace)
        if isinstance(prepared, Fit):
            _keep(prepared, folder, workspace)
            fits.append(prepared)
        elif workers is None:
            fits.append(_fit(prepared, place, choice, folder))
        else:
            fits.append(workers.submit(_fit, prepared, place, choice, folder))
            continue
        done()
    return [fit.result() if isinstance(fit, Future) else fit for fit in fits]


def _fit_file(folder: Path, place: int) -> Path:
    return (folder / "fits" / f"{place}.json").absolute()


def _keep(found: Fit, folder: Path, workspace: Workspace) -> None:
    workspace.write(str(_fit_file(folder, found.place)), found.canonical_json().encode())


def _prepare(spec: ModelSpec, plan: RehearsalPlan, place: int, workspace: Workspace) -> TrainingData | Fit:
    """Take in what is new at a training end, and return the rows to fit on, or a fit without a model."""
    until = plan.ends[place]
    try:
        batch = ingest(spec, until, f"fit-{place}", workspace)
        commit_batch(spec, batch, validate(spec, batch, workspace), workspace)
        split = cut(spec, workspace.table(spec.name, "dataset"), until)
        return TrainingData(spec, take_snapshot(spec, split.whole, workspace), split, until, workspace)
    except EverfitError as error:
        return _no_model(place, until, error)


def _fit(data: TrainingData, place: int, choice: Choice, folder: Path) -> Fit:
    """Fit the model of a training end, and keep it."""
    try:
        data.training_rows(data.split.whole)  # read once, so that the fit is timed alone
        began = time.process_time()
        path = str(_fit_file(folder, place).with_suffix(".skops"))
        fitted = fit_on(data, choice.candidate, data.split.whole, path, choice.setting)
        found = Fit(place=place, fitted=fitted, seconds=round(time.process_time() - began, 3))
    except EverfitError as error:
        found = _no_model(place, data.until, error)
    _keep(found, folder, data.workspace)
    return found


def _no_model(place: int, until: datetime, error: EverfitError) -> Fit:
    return Fit(place=place, note=f"{until:%Y-%m-%d}: no model could be fitted: {error}")


class _Column(NamedTuple):
    """How each model of an earlier or the same training end does in a window."""

    quality: tuple[float | None, ...]
    money: tuple[float | None, ...]
    chance: float | None
    seconds: float


def measure_all(
    spec: ModelSpec, fits: Sequence[Fit], rows: Path, folder: Path, workers: Executor | None = None
) -> Matrix:
    """Measure each model in each window from its training on.

    Args:
        spec: The model's spec.
        fits: The result of `fit_all`.
        rows: Folder with the labelled rows of each window, by place.
        folder: The folder of the matrix; the result is kept there.
        workers: Where windows are measured side by side; None to measure one after the other.
    """
    kept = folder / "matrix.json"
    if kept.exists():
        return Matrix.model_validate_json(kept.read_bytes())
    uri, count, first = str(folder.absolute() / "workspace"), len(fits), fits[0].place
    tasks = [(spec, tuple(fits[: window + 1]), rows / f"{first + window}.parquet", uri) for window in range(count)]
    columns = [*(map if workers is None else workers.map)(_measure_window, *zip(*tasks, strict=True))]
    quality: list[list[float | None]] = [[None] * count for _ in fits]
    money: list[list[float | None]] = [[None] * count for _ in fits]
    for window, column in enumerate(columns):
        for origin, (measured, worth) in enumerate(zip(column.quality, column.money, strict=True)):
            quality[origin][window], money[origin][window] = measured, worth
    found = Matrix(
        quality=tuple(map(tuple, quality)),
        money=tuple(map(tuple, money)) if any(value is not None for row in money for value in row) else (),
        seconds=tuple(fit.seconds for fit in fits),
        fitted=tuple(fit.fitted is not None for fit in fits),
        chance=columns[0].chance,
        predicting=round(sum(column.seconds for column in columns), 3),
        notes=tuple(fit.note for fit in fits if fit.note),
    )
    Workspace(uri).write(str(kept.absolute()), json.dumps(found.model_dump(mode="json")).encode())
    return found


def _measure_window(spec: ModelSpec, fits: Sequence[Fit], path: Path, uri: str) -> _Column:
    """Measure the models that were there before a window's end in it; the last fit is that of its start."""
    began, time_column = time.process_time(), str(spec.columns.event_time)
    frame = pd.read_parquet(path) if path.exists() else pd.DataFrame()
    quality: list[float | None] = []
    money: list[float | None] = []
    chance = None
    for fit in fits:
        if fit.fitted is None or not len(frame):  # if the turn failed, the model before stays
            known = bool(quality) and bool(len(frame))
            quality.append(quality[-1] if known else None)
            money.append(money[-1] if known else None)
            continue
        model = _model(fit.fitted.canonical_json(), uri)
        classes = [str(value) for value in getattr(model, "classes_", [])]
        answers = of_rows(spec, frame, classes, time_column)
        scores = estimator_scores(model, frame[list(fit.fitted.features)], answers)
        measured = measure(spec, answers, scores, fit.fitted.threshold)
        quality.append(measured.quality)
        money.append(measured.money)
        if len(fits) == 1 and spec.task != "multiclass":
            constant = prior_scores(pd.Series(answers.truth), len(frame), [0, 1], spec.task)
            chance = measure(spec, answers, constant).quality
    return _Column(tuple(quality), tuple(money), chance, time.process_time() - began)


@lru_cache(maxsize=256)
def _model(fitted: str, uri: str) -> "BaseEstimator":
    """Return a fitted model by its record as JSON; every later window needs it again."""
    return read_model(Fitted.model_validate_json(fitted), Workspace(uri))
