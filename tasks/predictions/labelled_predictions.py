"""Join the champion's predictions in a window with their labels, as arrays for metrics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.client_shares import counted_shares, drawn
from everfit.tasks.predictions.drawn_answers import denser_draw, draw_of, labelled_keys, read_drawn
from everfit.tasks.predictions.key_draw import KeyDraw
from everfit.tasks.statistics.scores import onto_classes, target_values
from everfit.tasks.statistics.weighted_metrics import predicted_class
from everfit.tasks.storage.tables import KEY, Table

Floats = npt.NDArray[np.float64]

SCORE_COLUMNS: dict[TaskKind, tuple[str, ...]] = {
    "binary": (prediction_log.SCORE,),
    "multiclass": (prediction_log.PROBABILITIES, prediction_log.SCORE),
    "regression": (prediction_log.PREDICTION,),
}
"""Columns of the log that metrics read. A model that knows two of a target's many classes logs a score."""


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions of the champion, one per key, with their labels.

    Attributes:
        window: Span of event time.
        rows: Rows of the log, with `_label` (null if unknown) and the requested columns.
        event_time: Column of the event time.
        task: Kind of prediction.
        classes: Classes of the model as text, in its order; empty for a regression.
        others: Further classes, of other models or other rows.
        entity: Column whose rows hang together, such as the customer; None if the spec names none.
        draw: The keys whose rows these are: all, unless there are very many.
        labelled_draw: A larger draw of the rows that have a label, with these rows; None without one.
    """

    window: Window
    rows: pd.DataFrame
    event_time: str
    task: TaskKind
    classes: tuple[str, ...]
    others: tuple[str, ...] = ()
    entity: str | None = None
    draw: KeyDraw = field(default_factory=KeyDraw)
    labelled_draw: tuple[KeyDraw, pd.DataFrame] | None = None

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Return whether each row has a label, of a known or unknown class; shape (rows,)."""
        return self.rows[labels.LABEL].notna().to_numpy()

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Return whether each row's label is of a class that the model doesn't know; shape (rows,)."""
        if self.task == "regression":
            return np.zeros(len(self.rows), dtype=np.bool_)
        return self.labelled & ~self.rows[labels.LABEL].isin(self.classes).to_numpy()

    @cached_property
    def every_class(self) -> tuple[str, ...]:
        """Return the classes of truth and scores: the model's, those of the labels, and the others.

        A binary model always has two, because its score is the probability of the second.
        """
        if self.task != "multiclass":
            return self.classes
        known = [rows[labels.LABEL].dropna().unique() for rows in (self.rows, *self._larger)]
        return tuple(sorted({*self.classes, *self.others, *(str(name) for some in known for name in some)}, key=_place))

    @property
    def _larger(self) -> list[pd.DataFrame]:
        return [] if self.labelled_draw is None else [self.labelled_draw[1]]

    def with_labels(self) -> "LabelledPredictions":
        """Return the rows that have a label."""
        if self.labelled_draw is None:
            return self.of(self.labelled)
        draw, rows = self.labelled_draw
        return replace(self, rows=rows, draw=draw, labelled_draw=None, others=self.every_class)

    def of(self, chosen: npt.NDArray[np.bool_]) -> "LabelledPredictions":
        """Return some of the rows, with the same classes."""
        rows = self.rows[chosen].reset_index(drop=True)
        return replace(self, rows=rows, labelled_draw=None, others=self.every_class)

    def before(self, end: datetime) -> "LabelledPredictions":
        """Return the rows before a moment, with the same classes."""
        larger = None
        if self.labelled_draw is not None:
            draw, rows = self.labelled_draw
            larger = draw, rows[rows[self.event_time] < end].reset_index(drop=True)
        chosen = (self.rows[self.event_time] < end).to_numpy() if len(self.rows) else np.zeros(0, dtype=np.bool_)
        return replace(self.of(chosen), labelled_draw=larger)

    def among(self, others: Iterable[str]) -> "LabelledPredictions":
        """Return the same rows with further classes, so that they can be compared with predictions of those.

        Args:
            others: Further classes as text.
        """
        return replace(self, others=(*self.others, *others))

    @property
    def truth(self) -> Floats:
        """Return labels as numbers: 0 and 1, the position in `every_class`, or the value itself; shape (rows,).

        If a binary model doesn't know a label's class, its prediction was wrong, so the truth is the class not
        predicted.
        """
        truth = truth_of(self.rows[labels.LABEL], self.every_class, self.task)
        unknown = self.unknown if self.task == "binary" else np.zeros(0, dtype=np.bool_)
        return np.where(unknown, 1 - predicted_class(self.scores), truth) if unknown.any() else truth

    @property
    def scores(self) -> Floats:
        """Return the champion's scores; shape (rows,), or (rows, every class) for a multiclass model."""
        return scores_of(self.rows, self.task, self.classes, self.every_class)

    @property
    def inclusion(self) -> Floats | None:
        """Return each row's probability of being labelled; less than 1 for sampled manual labels. Shape (rows,).

        None if all are 1, as usual. Metrics weight a row by its inverse.
        """
        return inclusion_of(self.rows)

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """Return the day of each row; shape (rows,)."""
        return event_days(self.rows[self.event_time])

    @property
    def entities(self) -> npt.NDArray[np.int64] | None:
        """Return the number of the entity of each row, shape (rows,); None if the rows don't show it."""
        if self.entity is None or self.entity not in self.rows:
            return None
        return np.asarray(pd.factorize(self.rows[self.entity], use_na_sentinel=False)[0], dtype=np.int64)


def read_labelled_predictions(
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
    entity: str | None = None,
    clients: ClientsPolicy | None = None,
    most: int | None = None,
) -> LabelledPredictions:
    """Read the champion's predictions in a window, with their labels as known at a moment.

    If there are more than `most` rows, a draw by their keys is read. It is the same wherever and in whatever order they
    are read, and has the newest answer and the label of each of its keys. Few labelled rows are drawn by themselves.

    Args:
        log: The prediction log.
        known: The labels.
        window: Span of event time.
        event_time: Column of the event time.
        until: Labels that became known later are ignored.
        task: Kind of prediction.
        classes: Classes of the champion as text, in its order.
        version: Version of the champion.
        also: Further columns to read, if the log has them.
        entity: Column whose rows hang together, which is read if the log has it.
        clients: How many rows of one client count, and whose labels; by default all.
        most: About how many rows to read; by default all.
    """
    there = set(log.columns()) if log.exists() else set()
    limited = clients is not None and clients.max_share < 1
    own = [KEY, event_time, *SCORE_COLUMNS[task], prediction_log.PREDICTED_AT]
    own += [prediction_log.CLIENT] if limited else []
    wanted = [
        name for name in dict.fromkeys([*own, *also, *([entity] if entity else [])]) if name in there or not there
    ]
    draw = draw_of(log, window, most)
    denser = denser_draw(known, window, draw, most)
    keys = None if denser is None else labelled_keys(known, until, denser, clients)
    rows = read_drawn(log, window, event_time, wanted, draw=draw, version=version, keys=keys)
    # If a row was predicted twice, the last prediction counts.
    rows = rows.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")
    if clients is not None and limited and prediction_log.CLIENT in rows:
        by_client = rows.loc[draw.chosen(rows[KEY]), prediction_log.CLIENT].value_counts()
        counts = {str(name): int(count) for name, count in by_client.items()}
        shares = counted_shares(counts, clients.max_share, prediction_log.OWN_CLIENTS)
        rows = rows[drawn(rows[KEY], rows[prediction_log.CLIENT], shares)]
    rows = rows.sort_values([event_time, KEY], ignore_index=True)
    joined = labels.labelled(rows, labels.known_at(known, until, rows[KEY], clients=clients))
    larger = None
    if denser is not None:
        larger = denser, joined[joined[labels.LABEL].notna() & denser.chosen(joined[KEY])].reset_index(drop=True)
        joined = joined[draw.chosen(joined[KEY])].reset_index(drop=True)
    return LabelledPredictions(
        window, joined, event_time, task, tuple(classes), entity=entity, draw=draw, labelled_draw=larger
    )


def scores_of(rows: pd.DataFrame, task: TaskKind, known: Sequence[str], classes: Sequence[str]) -> Floats:
    """Return a model's scores from the columns of the prediction log.

    Args:
        rows: Rows of the log.
        task: Kind of prediction.
        known: Classes of the model, in its order.
        classes: Classes of a multiclass model's scores.

    Returns:
        Scores; shape (rows,), or (rows, classes) for a multiclass model.

    Raises:
        DataError: If a row has no score, or not one for each class of the model.
    """
    if len(rows) == 0:
        return np.empty((0, len(classes)) if task == "multiclass" else 0)
    if task == "multiclass":
        return onto_classes(_probabilities(rows, known), known, classes)
    return _column(rows, SCORE_COLUMNS[task][0])


def _probabilities(rows: pd.DataFrame, known: Sequence[str]) -> Floats:
    """Return the probability of each class of the model; shape (rows, known)."""
    logged = (
        rows[prediction_log.PROBABILITIES] if prediction_log.PROBABILITIES in rows else pd.Series([None] * len(rows))
    )
    if len(known) == 2 and logged.isna().all():  # a binary model logs only the score of the second class
        second = _column(rows, prediction_log.SCORE)
        return np.column_stack([1 - second, second])
    widths = {0 if values is None else len(values) for values in logged}
    if widths != {len(known)}:
        raise DataError(
            f"the logged probabilities are of {', '.join(map(str, sorted(widths)))} classes, but the model has "
            f"{len(known)} ({', '.join(map(repr, known[:4]))}); check how they were logged"
        )
    return np.stack([np.asarray(values, dtype=np.float64) for values in logged])


def _column(rows: pd.DataFrame, name: str) -> Floats:
    values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan) if name in rows else np.full(len(rows), np.nan)
    if np.isnan(values).any():
        raise DataError(f"{int(np.isnan(values).sum())} predictions have no {name!r}; check how they were logged")
    return values


def _place(name: str) -> tuple[bool, int, str]:
    """Return a sort key that puts whole numbers in their order, then the rest as text."""
    digits = name.removeprefix("-")
    whole = digits.isascii() and digits.isdecimal()
    return not whole, int(name) if whole else 0, name


def inclusion_of(rows: pd.DataFrame) -> Floats | None:
    """Return `LabelledPredictions.inclusion` for labelled rows."""
    logged = rows[labels.INCLUSION].to_numpy(dtype=np.float64, na_value=np.nan) if labels.INCLUSION in rows else np.nan
    inclusion = np.broadcast_to(np.where(np.isnan(logged), 1.0, logged), (len(rows),))
    return None if (inclusion == 1).all() else inclusion


def truth_of(known: "pd.Series[str]", classes: Sequence[str], task: TaskKind) -> Floats:
    """Return labels of the labels table as numbers; shape (rows,)."""
    if task == "regression":
        return np.asarray(known, dtype=np.float64)
    return np.asarray(known.map({name: number for number, name in enumerate(classes)}), dtype=np.float64)


def label_texts(target: "pd.Series[Any]", task: TaskKind) -> "pd.Series[str]":
    """Return a target column as the labels table stores it."""
    values = target_values(target.infer_objects(), task)
    return values if task == "regression" else values.map(str)


def event_days(times: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    """Return the day of each time in days since 1970; shape (rows,)."""
    return np.asarray(times.dt.floor("D").astype("int64"), dtype=np.int64)
