"""The champion's answers in a window with the known outcomes of them, as arrays that metrics read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.statistics.scores import onto_classes, target_values
from everfit.tasks.statistics.weighted_metrics import predicted_class
from everfit.tasks.storage.tables import KEY, Table

Floats = npt.NDArray[np.float64]

SCORE_COLUMNS: dict[TaskKind, tuple[str, ...]] = {
    "binary": (prediction_log.SCORE,),
    "multiclass": (prediction_log.PROBABILITIES, prediction_log.SCORE),
    "regression": (prediction_log.PREDICTION,),
}
"""What metrics read of the prediction log. A model that knows two of a target's many classes gives a score."""


@dataclass(frozen=True)
class LabelledPredictions:
    """Rows that the champion answered, each key once.

    Attributes:
        window: Of event time.
        rows: Of the log, with `_label` (null where none is known) and the columns that were requested.
        event_time: The column of the event time.
        task: The kind of target.
        classes: Those that the model knows, as text, in its order; none for a regression.
        others: Further ones, which other models know or other rows have.
    """

    window: Window
    rows: pd.DataFrame
    event_time: str
    task: TaskKind
    classes: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Whether each row has a label, be it of a class that the model knows or not; shape (rows,)."""
        return self.rows[labels.LABEL].notna().to_numpy()

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Whether each row's label is of a class that the model doesn't know, and so can't answer; shape (rows,)."""
        if self.task == "regression":
            return np.zeros(len(self.rows), dtype=np.bool_)
        return self.labelled & ~self.rows[labels.LABEL].isin(self.classes).to_numpy()

    @cached_property
    def every_class(self) -> tuple[str, ...]:
        """The classes that truth and scores use: the model's, those of the labels, and the others.

        A binary model's are two, whatever else the labels say: its score is the probability of the second.
        """
        if self.task != "multiclass":
            return self.classes
        seen = self.rows.loc[self.unknown, labels.LABEL].unique().tolist()
        return tuple(sorted({*self.classes, *self.others, *map(str, seen)}, key=_place))

    def with_labels(self) -> "LabelledPredictions":
        """Those rows only that have one."""
        return self.of(self.labelled)

    def of(self, chosen: npt.NDArray[np.bool_]) -> "LabelledPredictions":
        """Some of the rows, in the same classes."""
        return replace(self, rows=self.rows[chosen].reset_index(drop=True), others=self.every_class)

    def among(self, others: Iterable[str]) -> "LabelledPredictions":
        """The same, told in further classes as well, so that it can be compared with what names those.

        Args:
            others: As text.
        """
        return replace(self, others=(*self.others, *others))

    @property
    def truth(self) -> Floats:
        """Labels as numbers: 0 and 1, the position among `every_class`, or the value itself; shape (rows,).

        A binary model that doesn't know a label's class was wrong, so it is the class that the model did not answer.
        """
        found = truth_of(self.rows[labels.LABEL], self.every_class, self.task)
        unknown = self.unknown if self.task == "binary" else np.zeros(0, dtype=np.bool_)
        return np.where(unknown, 1 - predicted_class(self.scores), found) if unknown.any() else found

    @property
    def scores(self) -> Floats:
        """The champion's scores; shape (rows,), or (rows, every class) for a multiclass model."""
        return scores_of(self.rows, self.task, self.classes, self.every_class)

    @property
    def inclusion(self) -> Floats | None:
        """The probability with which each row came to its label: 1, or less where labels were requested by hand.

        None if all are 1, as usual. Metrics count a row by its inverse. Shape (rows,).
        """
        return inclusion_of(self.rows)

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """The day of each row; shape (rows,)."""
        return days_of(self.rows[self.event_time])


def read_answers(
    log: Table,
    known: Table,
    window: Window,
    event_time: str,
    until: datetime,
    *,
    task: TaskKind,
    classes: Sequence[str],
    version: int,
    also: Sequence[str] = (),
) -> LabelledPredictions:
    """Read the champion's answers of a window, with their labels as known at a moment.

    Args:
        log: The prediction log.
        known: The labels.
        window: Of event time.
        event_time: Its column.
        until: Only data known at this moment counts.
        task: The kind of target.
        classes: Those that the champion knows, as text, in its order.
        version: The champion.
        also: Further columns, where the log has them.
    """
    there = set(log.columns()) if log.exists() else set()
    own = [KEY, event_time, *SCORE_COLUMNS[task], prediction_log.PREDICTED_AT]
    wanted = [name for name in dict.fromkeys([*own, *also]) if name in there or not there]
    rows = prediction_log.read(log, window, event_time, columns=wanted, model_version=version)
    # Of a row that was predicted twice the last answer counts.
    rows = rows.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")
    rows = rows.sort_values([event_time, KEY], ignore_index=True)
    given = labels.known_at(known, until, rows[KEY])
    return LabelledPredictions(window, labels.labelled(rows, given), event_time, task, tuple(classes))


def scores_of(rows: pd.DataFrame, task: TaskKind, known: Sequence[str], classes: Sequence[str]) -> Floats:
    """What a model said of rows, from the columns of the prediction log.

    Args:
        rows: Of the log.
        task: The kind of target.
        known: The classes that the model knows, in its order.
        classes: Those that the scores of a multiclass model use.

    Raises:
        DataError: a row has no score, or not one for each class that the model knows.
    """
    if len(rows) == 0:
        return np.empty((0, len(classes)) if task == "multiclass" else 0)
    if task == "multiclass":
        return onto_classes(_probabilities(rows, known), known, classes)
    return _column(rows, SCORE_COLUMNS[task][0])


def _probabilities(rows: pd.DataFrame, known: Sequence[str]) -> Floats:
    """Of each class that a model knows; shape (rows, known)."""
    given = (
        rows[prediction_log.PROBABILITIES] if prediction_log.PROBABILITIES in rows else pd.Series([None] * len(rows))
    )
    if len(known) == 2 and given.isna().all():  # logged as what the model is: by the score of the second
        second = _column(rows, prediction_log.SCORE)
        return np.column_stack([1 - second, second])
    widths = {0 if each is None else len(each) for each in given}
    if widths != {len(known)}:
        raise DataError(
            f"the logged probabilities are of {', '.join(map(str, sorted(widths)))} classes, and the model knows "
            f"{len(known)} ({', '.join(map(repr, known[:4]))}); look at how they were logged"
        )
    return np.stack([np.asarray(each, dtype=np.float64) for each in given])


def _column(rows: pd.DataFrame, name: str) -> Floats:
    values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan) if name in rows else np.full(len(rows), np.nan)
    if np.isnan(values).any():
        raise DataError(f"{int(np.isnan(values).sum())} predictions have no {name!r}; look at how they were logged")
    return values


def _place(name: str) -> tuple[bool, int, str]:
    """Whole numbers in their order, then the rest as text."""
    digits = name.removeprefix("-")
    whole = digits.isascii() and digits.isdecimal()
    return not whole, int(name) if whole else 0, name


def inclusion_of(rows: pd.DataFrame) -> Floats | None:
    """As `LabelledPredictions.inclusion`, of labelled rows."""
    given = rows[labels.INCLUSION].to_numpy(dtype=np.float64, na_value=np.nan) if labels.INCLUSION in rows else np.nan
    found = np.broadcast_to(np.where(np.isnan(given), 1.0, given), (len(rows),))
    return None if (found == 1).all() else found


def truth_of(known: "pd.Series[str]", classes: Sequence[str], task: TaskKind) -> Floats:
    """Labels as the labels table has them, as numbers; shape (rows,)."""
    if task == "regression":
        return np.asarray(known, dtype=np.float64)
    return np.asarray(known.map({name: number for number, name in enumerate(classes)}), dtype=np.float64)


def label_texts(target: "pd.Series[Any]", task: TaskKind) -> "pd.Series[str]":
    """A target column as the labels table has it."""
    found = target_values(target.infer_objects(), task)
    return found if task == "regression" else found.map(str)


def days_of(times: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    """The day of each moment, as a number; shape (rows,)."""
    return np.asarray(times.dt.floor("D").astype("int64"), dtype=np.int64)
