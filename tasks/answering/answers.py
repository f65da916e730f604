"""The champion's answers in a window with what came true of them, as arrays that metrics read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.answering import labels, predictions
from everfit.tasks.data.tables import KEY, Table
from everfit.tasks.records import Window
from everfit.tasks.statistics.scores import labels as as_labels

Floats = npt.NDArray[np.float64]

SCORE_COLUMN: dict[TaskKind, str] = {
    "binary": predictions.SCORE,
    "multiclass": predictions.PROBABILITIES,
    "regression": predictions.PREDICTION,
}
"""What metrics read of the prediction log."""


@dataclass(frozen=True)
class Answers:
    """Rows that the champion answered, each key once.

    Attributes:
        window: Of event time.
        rows: Of the log, with `_label` (null where none is known) and the columns that were asked for.
        event_time: The column of the event time.
        task: What is predicted.
        classes: As text, in the model's order; none for a regression.
    """

    window: Window
    rows: pd.DataFrame
    event_time: str
    task: TaskKind
    classes: tuple[str, ...]

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Whether each row has a label that the model knows; shape (rows,)."""
        if self.task == "regression":
            return self.rows[labels.LABEL].notna().to_numpy()
        return self.rows[labels.LABEL].isin(self.classes).to_numpy()

    def with_labels(self) -> "Answers":
        """Those rows only that have one."""
        return self.of(self.labelled)

    def of(self, chosen: npt.NDArray[np.bool_]) -> "Answers":
        """Some of the rows."""
        return Answers(self.window, self.rows[chosen].reset_index(drop=True), self.event_time, self.task, self.classes)

    @property
    def truth(self) -> Floats:
        """Labels as numbers: 0 and 1, the position of the class, or the value itself; shape (rows,)."""
        return truth_of(self.rows[labels.LABEL], self.classes, self.task)

    @property
    def scores(self) -> Floats:
        """The champion's scores; shape (rows,), or (rows, classes) for a multiclass model."""
        return scores_of(self.rows, self.task)

    @property
    def inclusion(self) -> Floats | None:
        """The probability with which each row came to its label: 1, or less where labels were asked for by hand.

        None where all are 1, as usual. Metrics count a row by its inverse. Shape (rows,).
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
) -> Answers:
    """Read the champion's answers of a window, with their labels as known at a moment.

    Args:
        log: The prediction log.
        known: The labels.
        window: Of event time.
        event_time: Its column.
        until: What is known at this moment is all that is known.
        task: What is predicted.
        classes: As text, in the model's order.
        version: The champion.
        also: Further columns, where the log has them.
    """
    there = set(log.columns()) if log.exists() else set()
    own = [KEY, event_time, SCORE_COLUMN[task], predictions.PREDICTED_AT]
    wanted = [name for name in dict.fromkeys([*own, *also]) if name in there or not there]
    rows = predictions.read(log, window, event_time, columns=wanted, model_version=version)
    # Of a row that was predicted twice the last answer counts.
    rows = rows.sort_values(predictions.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")
    rows = rows.sort_values([event_time, KEY], ignore_index=True)
    given = labels.known_at(known, until, rows[KEY])
    return Answers(window, labels.labelled(rows, given), event_time, task, tuple(classes))


def scores_of(rows: pd.DataFrame, task: TaskKind) -> Floats:
    """What a model said of rows, from the columns of the prediction log.

    Raises:
        DataError: a row has no score.
    """
    if len(rows) == 0:
        return np.empty(0)
    if task == "multiclass":
        return np.stack([np.asarray(each, dtype=np.float64) for each in rows[predictions.PROBABILITIES]])
    name = SCORE_COLUMN[task]
    values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(values).any():
        raise DataError(f"{int(np.isnan(values).sum())} predictions have no {name!r}; look at how they were logged")
    return values


def inclusion_of(rows: pd.DataFrame) -> Floats | None:
    """As `Answers.inclusion`, of labelled rows."""
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
    found = as_labels(target.infer_objects(), task)
    return found if task == "regression" else found.map(str)


def days_of(times: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    """The day of each moment, as a number; shape (rows,)."""
    return np.asarray(times.dt.floor("D").astype("int64"), dtype=np.int64)
