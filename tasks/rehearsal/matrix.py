"""The matrix of a rehearsal: a model for each training end, and how each does in each later window.

A model is fitted as the spec's first champion was: the same candidate with the same setting, on all rows that were
known then. So the model of the first end is that champion, and each model serves all policies that train then.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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
) -> list[Fit]:
    """Fit a model for each training end from the first release on; what was fitted by an earlier run is kept.

    Args:
        spec: The model's spec.
        plan: Of the rehearsal.
        first: Place of the first release.
        choice: Candidate and setting of the first champion.
        folder: Of the matrix.
        done: Called after each fit.
    """
    workspace, fits = Workspace(str(folder / "workspace")), []
    for place in range(first, len(plan.ends) - 1):
        path = folder / "fits" / f"{place}.json"
        if path.exists():
            fits.append(Fit.model_validate_json(path.read_bytes()))
            continue
        found = _fit(spec, plan, place, choice, workspace, folder)
        workspace.write(str(path.absolute()), found.canonical_json().encode())
        fits.append(found)
        done()
    return fits


def _fit(  # noqa: PLR0917 - what to fit, and where
    spec: ModelSpec, plan: RehearsalPlan, place: int, choice: Choice, workspace: Workspace, folder: Path
) -> Fit:
    until = plan.ends[place]
    try:
        batch = ingest(spec, until, f"fit-{place}", workspace)
        commit_batch(spec, batch, validate(spec, batch, workspace), workspace)
        split = cut(spec, workspace.table(spec.name, "dataset"), until)
        data = TrainingData(spec, take_snapshot(spec, split.whole, workspace), split, until, workspace)
        data.training_rows(split.whole)  # read once, so that the fit is timed alone
        began = time.process_time()
        path = str((folder / "fits" / f"{place}.skops").absolute())
        fitted = fit_on(data, choice.candidate, split.whole, path, choice.setting)
    except EverfitError as error:
        return Fit(place=place, note=f"{until:%Y-%m-%d}: no model could be fitted: {error}")
    return Fit(place=place, fitted=fitted, seconds=round(time.process_time() - began, 3))


def measure_all(spec: ModelSpec, fits: Sequence[Fit], rows: Path, folder: Path) -> Matrix:
    """Measure each model in each window from its training on.

    Args:
        spec: The model's spec.
        fits: Of `fit_all`.
        rows: Folder with the labelled rows of each window, by place.
        folder: Of the matrix; the result is kept there.
    """
    kept = folder / "matrix.json"
    if kept.exists():
        return Matrix.model_validate_json(kept.read_bytes())
    workspace, count, first = Workspace(str(folder / "workspace")), len(fits), fits[0].place
    models = [None if fit.fitted is None else read_model(fit.fitted, workspace) for fit in fits]
    quality: list[list[float | None]] = [[None] * count for _ in fits]
    money: list[list[float | None]] = [[None] * count for _ in fits]
    chance, began, time_column = None, time.process_time(), str(spec.columns.event_time)
    for window in range(count):
        path = rows / f"{first + window}.parquet"
        frame = pd.read_parquet(path) if path.exists() else pd.DataFrame()
        for origin in range(window + 1 if len(frame) else 0):
            model, fitted = models[origin], fits[origin].fitted
            if model is None or fitted is None:  # the turn failed, so the model before stays
                if origin:
                    quality[origin][window], money[origin][window] = (
                        quality[origin - 1][window],
                        money[origin - 1][window],
                    )
                continue
            classes = [str(value) for value in getattr(model, "classes_", [])]
            answers = of_rows(spec, frame, classes, time_column)
            scores = estimator_scores(model, frame[list(fitted.features)], answers)
            quality[origin][window], money[origin][window] = measure(spec, answers, scores, fitted.threshold)
            if chance is None and window == 0 and spec.task != "multiclass":
                constant = prior_scores(pd.Series(answers.truth), len(frame), [0, 1], spec.task)
                chance = measure(spec, answers, constant).quality
    found = Matrix(
        quality=tuple(map(tuple, quality)),
        money=tuple(map(tuple, money)) if any(value is not None for row in money for value in row) else (),
        seconds=tuple(fit.seconds for fit in fits),
        fitted=tuple(fit.fitted is not None for fit in fits),
        chance=chance,
        predicting=round(time.process_time() - began, 3),
        notes=tuple(fit.note for fit in fits if fit.note),
    )
    workspace.write(str(kept.absolute()), json.dumps(found.model_dump(mode="json")).encode())
    return found
