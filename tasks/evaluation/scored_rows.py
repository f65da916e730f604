"""The scores of each model for the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.blocks.spec import ModelSpec
from everfit.tasks.evaluation.influence import most_influential, repeated_rows, spliced
from everfit.tasks.statistics.scores import class_indices, model_scores, target_values
from everfit.tasks.statistics.weighted_metrics import predicted_class

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Floats = npt.NDArray[np.float64]

_ROWS_AT_ONCE, _CELLS_AT_ONCE = 50_000, 4_000_000


@dataclass(frozen=True)
class ScoredRows:
    """Rows, and the scores of each model for them.

    Attributes:
        task: The spec's task.
        rows: Shape (rows, columns).
        truth: 0 and 1, the position of the class, or the value; shape (rows,).
        scores: By model; shape (rows,) or (rows, classes).
        classes: In the order of their positions; none for a regression.
        models: The models that can score other rows; the dummy can't.
        current: Which rows the challenger in `models` has scored; None for all. The others were scored by the same
            procedure, fitted at an earlier time; shape (rows,).
    """

    task: TaskKind
    rows: pd.DataFrame
    truth: Floats
    scores: Mapping[str, Floats]
    classes: Sequence[object]
    models: "Mapping[str, Pipeline]"
    current: npt.NDArray[np.bool_] | None = None
    _influential: dict[tuple[str, int], list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def newest(self) -> Self:
        """Return the rows that the challenger in `models` has scored, and has not been trained on."""
        return self if self.current is None else replace(self.subset(self.current), current=None)

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        scores = {name: values[chosen] for name, values in self.scores.items()}
        current = None if self.current is None else self.current[chosen]
        return replace(self, rows=self.rows[chosen], truth=self.truth[chosen], scores=scores, current=current)

    def predicted_classes(self, role: str) -> Floats:
        """Return the class that a model predicts, as a position; shape (rows,)."""
        return predicted_class(self.scores[role])

    def scores_of(self, role: str, rows: pd.DataFrame) -> Floats:
        """Return a model's scores of other rows, or of these rows after a change."""
        model = self.models[role]
        return model_scores(model, rows[list(model.feature_names_in_)], self.classes, self.task)

    def influential(self, role: str, seed: int) -> list[str]:
        """Return the features of a model that move its answers most; all if they are few."""
        if (role, seed) not in self._influential:
            features = self.rows[list(self.models[role].feature_names_in_)]
            ranked = most_influential(lambda rows: self.scores_of(role, rows), features, seed)
            self._influential[role, seed] = ranked
        return self._influential[role, seed]

    def scores_of_changes(
        self, role: str, rows: pd.DataFrame, changes: Sequence[tuple[str, pd.Series]]
    ) -> list[Floats]:
        """Return a model's scores of rows with one column changed, for each change; many at once, which is faster.

        Args:
            role: The model.
            rows: Shape (rows, columns).
            changes: Column and its new values.
        """
        scores: list[Floats] = []
        features = rows[list(self.models[role].feature_names_in_)]
        at_once = max(1, min(_ROWS_AT_ONCE, _CELLS_AT_ONCE // features.shape[1]) // max(1, len(rows)))
        for start in range(0, len(changes), at_once):
            some = changes[start : start + at_once]
            changed = {}
            for name in dict.fromkeys(name for name, _ in some):
                at = [place for place, (other, _) in enumerate(some) if other == name]
                order = np.zeros(len(some), dtype=np.int64)
                order[at] = np.arange(1, len(at) + 1)
                changed[name] = spliced([features[name], *(some[place][1] for place in at)], order)
            scores += np.split(self.scores_of(role, repeated_rows(features, len(some), changed)), len(some))
        return scores


def resampling_days(spec: ModelSpec, rows: pd.DataFrame) -> npt.NDArray[np.int64] | None:
    """Return the day of each row if the gate resamples by days.

    Args:
        spec: Its gate says how to resample.
        rows: Shape (rows, columns).
    """
    if spec.gate.resample != "days" or spec.columns.event_time is None:
        return None
    return np.asarray(rows[spec.columns.time].dt.floor("D").astype("int64"), dtype=np.int64)


@dataclass(frozen=True)
class EarlierModel:
    """The challenger's procedure as it was fitted at an earlier time, and the rows that it is judged on.

    Attributes:
        model: The pipeline.
        judged: Which rows; shape (rows,).
    """

    model: "Pipeline"
    judged: npt.NDArray[np.bool_]


def score_rows(
    spec: ModelSpec,
    rows: pd.DataFrame,
    models: "Mapping[str, Pipeline]",
    earlier: Sequence[EarlierModel] = (),
) -> ScoredRows:
    """Score rows with models.

    Args:
        spec: Has the task and the target.
        rows: With the target and the features of each model.
        models: By name.
        earlier: Models that score some of the rows in place of `challenger`.

    Raises:
        DataError: a model needs a column that isn't there, or a binary target has a third value.
    """
    for name, model in models.items():
        if missing := [column for column in model.feature_names_in_ if column not in rows.columns]:
            raise DataError(
                f"{spec.name}: the {name} needs the column {missing[0]!r}, which the dataset lacks; "
                f"bring the column back, or release a version without it by `everfit rollback`"
            )
    target = rows[spec.columns.target]
    classes = _classes(spec, target, [*models.values(), *(one.model for one in earlier)])
    scores = {
        name: model_scores(model, rows[list(model.feature_names_in_)], classes, spec.task)
        for name, model in models.items()
    }
    current = np.ones(len(rows), dtype=np.bool_)
    for one in earlier:
        if one.judged.any():
            features = rows.loc[one.judged, list(one.model.feature_names_in_)]
            scores["challenger"][one.judged] = model_scores(one.model, features, classes, spec.task)
        current &= ~one.judged
    truth = class_indices(target, classes, spec.task)
    return ScoredRows(spec.task, rows, truth, scores, classes, models, None if current.all() else current)


def _classes(spec: ModelSpec, target: pd.Series, models: "list[Pipeline]") -> list[object]:
    if spec.task == "regression":
        return []
    known = {value for model in models for value in model.classes_.tolist()}
    values = sorted(known | set(target_values(target, spec.task).tolist()), key=lambda value: (str(type(value)), value))
    if spec.task == "binary" and len(values) > 2:
        raise DataError(
            f"{spec.name}: {spec.columns.target!r} now has {len(values)} values ({values[:4]!r}) but task is 'binary'; "
            f"correct the data, or set task to multiclass"
        )
    return values
