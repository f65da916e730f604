"""Train: try the candidates on one part of the training rows, choose by a later one, fit the best on all."""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from everfit.blocks.errors import ModelError, TrainingError
from everfit.tasks.pipelines import build_pipeline
from everfit.tasks.records import Record, Window
from everfit.tasks.scores import class_indices, class_list, labels, model_scores
from everfit.tasks.split import VALIDATION_SHARE, TrainingData
from everfit.tasks.workspace import Workspace

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# Modules whose types everfit's own models are made of; a model that needs another is not loaded.
TRUSTED_PREFIXES = ("sklearn.", "numpy.", "scipy.", "builtins.", "collections.", "lightgbm.", "xgboost.")
TRUSTED_TYPES = frozenset({"functools.partial"})  # what it calls is looked at by itself


class Trial(Record):
    """How a candidate did on validation rows later than those it was fitted on."""

    candidate: str
    metric: str
    score: float | None = Field(description="On the validation rows; None when the candidate failed.")
    rows: int
    seconds: float
    error: str = ""


class Fitted(Record):
    """A fitted pipeline, kept in the workspace until it is in the registry."""

    candidate: str
    path: str
    rows: int
    trained_on: Window
    features: tuple[str, ...]


def try_candidate(data: TrainingData, candidate: str) -> Trial:
    """Fit a candidate on the earlier training rows and score it on the later ones.

    A candidate that fails ends with its reason; it does not end the turn.

    Raises:
        DataError: there are no training rows, or no two classes among them.
    """
    spec = data.spec
    rows = data.training_rows(data.split.training)
    started = time.perf_counter()
    try:
        score, error = _validation_score(data, candidate, rows), ""
    except Exception as problem:  # noqa: BLE001 - an estimator may raise anything, and it is told in the trial
        score, error = math.nan, f"{type(problem).__name__}: {problem}"
    if not error and not math.isfinite(score):
        error = f"its {spec.metric} is {score}"
    return Trial(
        candidate=candidate,
        metric=spec.metric,
        score=None if error else score,
        rows=len(rows),
        seconds=round(time.perf_counter() - started, 3),
        error=error,
    )


def _validation_score(data: TrainingData, candidate: str, rows: pd.DataFrame) -> float:
    from everfit.tasks.metrics import metric

    spec, target = data.spec, data.spec.columns.target
    cut = int(len(rows) * (1 - VALIDATION_SHARE))
    earlier, later = rows.iloc[:cut], rows.iloc[cut:]
    classes = class_list(rows[target], spec.task)
    scores = model_scores(fit(data, candidate, earlier), later[data.features], classes, spec.task)
    return metric(spec.metric).score(class_indices(later[target], classes, spec.task), scores)


def choose(trials: Sequence[Trial]) -> Trial:
    """The candidate with the best validation score; of equals the one listed first.

    Raises:
        TrainingError: every candidate failed.
    """
    from everfit.tasks.metrics import metric

    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        told = "; ".join(f"{trial.candidate}: {trial.error}" for trial in trials)
        raise TrainingError(f"no candidate could be trained: {told}")
    sign = 1 if metric(scored[0].metric).greater_is_better else -1
    return max(scored, key=lambda trial: sign * (trial.score or 0.0))


def fit_on(data: TrainingData, candidate: str, window: Window, path: str) -> Fitted:
    """Fit a candidate on all rows of a window, and keep the pipeline in the workspace at `path`."""
    rows = data.training_rows(window)
    data.workspace.write(path, dump_model(fit(data, candidate, rows)))
    return Fitted(candidate=candidate, path=path, rows=len(rows), trained_on=window, features=tuple(data.features))


def fit(data: TrainingData, candidate: str, rows: pd.DataFrame) -> "Pipeline":
    """Fit a candidate on rows; the same rows in the same order give the same model."""
    spec = data.spec
    model = build_pipeline(candidate, spec.task, rows[data.features], spec.training.seed)
    return model.fit(rows[data.features], labels(rows[spec.columns.target], spec.task))


def dump_model(model: "Pipeline") -> bytes:
    """Write a fitted pipeline with skops."""
    import skops.io

    return bytes(skops.io.dumps(model))


def load_model(content: bytes) -> "Pipeline":
    """Read a pipeline that `dump_model` wrote.

    Raises:
        ModelError: it holds a type that everfit's models are not made of.
    """
    import skops.io

    return skops.io.loads(content, trusted=trusted_types(content))


def trusted_types(content: bytes) -> list[str]:
    """The types that skops would ask about, each reviewed.

    Raises:
        ModelError: one of them is not of a module that everfit's models are made of.
    """
    import skops.io

    found = skops.io.get_untrusted_types(data=content)
    if strange := [name for name in found if name not in TRUSTED_TYPES and not name.startswith(TRUSTED_PREFIXES)]:
        raise ModelError(
            f"the model holds {strange[0]!r}, a type that everfit does not trust; use plain scikit-learn parts"
        )
    return list(found)


def read_model(fitted: Fitted, workspace: Workspace) -> "Pipeline":
    """The pipeline that a step before has fitted."""
    return load_model(workspace.read(fitted.path))
