"""Labels: the known outcomes, by key; a correction supersedes, and what was believed before stays on record.

The table is only ever appended to. Which label counts is a question of time: at `until` it's the newest one of its key
whose label time isn't after `until`. So the past can be asked what it knew then.

Columns: `_key`, as in the dataset and the prediction log; `_label`, the class as text or the true number, as
`_prediction` has it; `_label_time`, when it became known; `_origin`, where it came from; `_revision`, how many of
the same key and time came before it; `_inclusion`, for a label that was requested by hand the probability with which
its row was picked, else null; `_day`, of the label time.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Record, Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.statistics.scores import target_values
from everfit.tasks.storage.tables import DAY, KEY, Table

if TYPE_CHECKING:
    from datetime import datetime

LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION = "_label", "_label_time", "_origin", "_revision", "_inclusion"

QUEUE_ORIGIN = "queue:"
"""Prefix of the origin of a label that came through the labelling queue."""
SOURCE = "source"
"""The origin of labels that everfit took from the model's source."""

_COLUMNS = [KEY, LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION]


class RecordedLabels(Record):
    """The outcome for labels that came in. Always `read == added + corrected + unchanged + older`."""

    read: int = Field(default=0, description="Labels that came in.")
    added: int = Field(default=0, description="Of keys that had none.")
    corrected: int = Field(default=0, description="That differ from what was believed before.")
    unchanged: int = Field(default=0, description="That say what is known already.")
    older: int = Field(default=0, description="From before the label that is known; kept on record.")

    def __add__(self, other: "RecordedLabels") -> "RecordedLabels":
        return RecordedLabels(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


def label_rows(
    keys: Iterable[int],
    target: pd.Series,
    label_time: pd.Series,
    task: TaskKind,
    origin: str,
    *,
    inclusion: pd.Series | None = None,
) -> pd.DataFrame:
    """Make rows of the labels table.

    Args:
        keys: Hashes of the rows' keys; shape (rows,).
        target: The labels; shape (rows,). Rows without one are left out.
        label_time: When each became known, in UTC; shape (rows,).
        task: The kind of target.
        origin: Where they come from, such as `source` or the client's name.
        inclusion: With which probability each row was picked to be labelled by hand; shape (rows,).

    Raises:
        DataError: a label of a regression isn't a finite number, or a label has no time.
    """
    rows = pd.DataFrame({KEY: np.asarray(list(keys), dtype=np.int64)})
    rows[LABEL] = target.to_numpy()
    rows[LABEL_TIME] = pd.to_datetime(label_time.to_numpy(), utc=True)
    rows[LABEL_TIME] = rows[LABEL_TIME].dt.as_unit("us")
    rows[INCLUSION] = np.nan if inclusion is None else inclusion.to_numpy(dtype=np.float64)
    rows = rows[rows[LABEL].notna()].reset_index(drop=True)
    if untimed := int(rows[LABEL_TIME].isna().sum()):
        raise DataError(f"{untimed} labels have no label time; give each the moment when it became known")
    if len(rows):
        values = target_values(rows[LABEL].infer_objects(), task)
        if task == "regression" and not np.isfinite(values.to_numpy(dtype=np.float64)).all():
            raise DataError("a label is infinite; labels of a regression are finite numbers")
        rows[LABEL] = values if task == "regression" else values.map(str).astype("str")
    rows[ORIGIN] = pd.array([origin] * len(rows), dtype="str")
    rows[REVISION] = np.zeros(len(rows), dtype=np.int64)
    rows[DAY] = rows[LABEL_TIME].dt.date
    return rows


def record(table: Table, rows: pd.DataFrame) -> RecordedLabels:
    """Add labels to the table; those that it has are passed over.

    Args:
        table: The model's labels.
        rows: As `label_rows` makes them.
    """
    if rows.empty:
        return RecordedLabels()
    known = _rows_of(table, rows)
    rows = rows.drop_duplicates([KEY, LABEL_TIME], keep="last")
    both = pd.concat([known.assign(_new=False), rows[_COLUMNS].assign(_new=True)], ignore_index=True)
    # Of two with one time the one that came later counts: it's a correction, and gets the next revision.
    both = both.sort_values([KEY, LABEL_TIME, "_new", REVISION], kind="stable", ignore_index=True)
    both[REVISION] = both.groupby([KEY, LABEL_TIME]).cumcount()
    before = both.groupby(KEY)[LABEL].shift()
    repeated = both["_new"] & (before == both[LABEL])
    had = both[KEY].isin(known[KEY])
    newest = known.groupby(KEY)[LABEL_TIME].max().reindex(both[KEY])
    older = both["_new"] & ~repeated & had & (both[LABEL_TIME] < pd.Series(newest.array))
    added = both["_new"] & ~had & ~both.duplicated(KEY)
    counts = RecordedLabels(
        read=len(rows),
        added=int(added.sum()),
        unchanged=int(repeated.sum()),
        older=int(older.sum()),
        corrected=int((both["_new"] & ~added & ~repeated & ~older).sum()),
    )
    # A label that is confirmed at another time is kept: a label from in between may still come.
    kept = both.loc[both["_new"] & ~(repeated & (both[REVISION] > 0)), _COLUMNS]
    if len(kept):
        content = hashlib.sha256(pd.util.hash_pandas_object(kept, index=False).to_numpy().tobytes()).hexdigest()
        table.append(kept.assign(**{DAY: kept[LABEL_TIME].dt.date}), f"labels-{content[:32]}")
    return counts


def _rows_of(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the table has of the same keys."""
    wanted = pd.Index(rows[KEY])
    found = [frame[frame[KEY].isin(wanted)] for frame in _batches(table)] if table.exists() else []
    return pd.concat(found, ignore_index=True) if found else rows[_COLUMNS].head(0)


def known_at(table: Table, until: "datetime", keys: "pd.Series | None" = None) -> pd.DataFrame:
    """The label of each key as it was known at a moment.

    Args:
        table: The model's labels.
        until: The moment.
        keys: Only of these; of all without it.

    Returns:
        One row a key: `_key`, `_label`, `_label_time`, `_origin`, `_revision`, `_inclusion`.
    """
    if not table.exists():
        return _nothing()
    wanted = None if keys is None else pd.Index(keys)
    moment = pd.Timestamp(until)
    frames = []
    # The window's end is not part of it, but a label that becomes known at that very moment is known.
    for frame in _batches(table, Window(until=(moment + pd.Timedelta(microseconds=1)).to_pydatetime())):
        kept = frame if wanted is None else frame[frame[KEY].isin(wanted)]
        frames.append(_newest(kept))
    return _newest(pd.concat(frames, ignore_index=True)) if frames else _nothing()


def _batches(table: Table, window: Window | None = None) -> Iterator[pd.DataFrame]:
    """All columns, of a table too that was begun before labels were requested by hand."""
    there = table.columns()
    for frame in table.batches(window, LABEL_TIME, [name for name in _COLUMNS if name in there]):
        yield frame if INCLUSION in there else frame.assign(**{INCLUSION: np.nan})


def _nothing() -> pd.DataFrame:
    kinds = {KEY: "int64", LABEL: "str", LABEL_TIME: "datetime64[us, UTC]", ORIGIN: "str", REVISION: "int64"}
    kinds[INCLUSION] = "float64"
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds.items()})


def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    ordered = frame.sort_values([KEY, LABEL_TIME, REVISION], kind="stable")
    return ordered.drop_duplicates(KEY, keep="last").reset_index(drop=True)


def labelled(predicted: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Give predictions their labels, whichever came first.

    Args:
        predicted: Rows of the prediction log, with `_key`.
        known: As `known_at` gives them.

    Returns:
        The predictions, each with `_label`, `_label_time` and `_inclusion`; null where none is known yet.
    """
    return predicted.merge(known[[KEY, LABEL, LABEL_TIME, INCLUSION]], on=KEY, how="left", validate="many_to_one")


def read_labelled(
    predicted: Table, labels: Table, window: Window, event_time: str, until: "datetime", **wanted: Any
) -> pd.DataFrame:
    """Read a window's predictions with their labels as known at a moment.

    Args:
        predicted: The prediction log.
        labels: The labels.
        window: Of event time.
        event_time: Its column.
        until: Only data known at this moment counts.
        **wanted: Passed on to `everfit.tasks.predictions.prediction_log.read`.
    """
    frame = prediction_log.read(predicted, window, event_time, **wanted)
    return labelled(frame, known_at(labels, until, frame.get(KEY)))


def unmatched(labels: Table, predicted: Table, until: "datetime") -> int:
    """How many keys have a label and no prediction; they are kept, for predictions may come late too."""
    keys = pd.Index(known_at(labels, until)[KEY])
    if predicted.exists():
        for frame in predicted.batches(columns=[KEY]):
            keys = keys.difference(pd.Index(frame[KEY]))
    return len(keys)
