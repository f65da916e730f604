"""Keep labels by key; a correction supersedes a label, and the superseded one stays on record.

The table is append-only. The valid label of a key at `until` is its newest one whose label time isn't after `until`, so
the table can be read as it was known at any time.

Columns: `_key`, as in the dataset and the prediction log; `_label`, the class as text or the true number, as in
`_prediction`; `_label_time`, when it became known; `_origin`, the source or client; `_revision`, the number of earlier
labels with the same key and time; `_inclusion`, the probability of a manual label's row to be sampled, else null;
`_day`, the day of the label time.
"""

import contextlib
import hashlib
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Record, Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.client_shares import within_share
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.statistics.scores import target_values
from everfit.tasks.storage.deleted_keys import DeletedKeys
from everfit.tasks.storage.tables import DAY, KEY, ConflictError, Table
from everfit.tasks.storage.values import LARGEST

if TYPE_CHECKING:
    from datetime import datetime

LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION = "_label", "_label_time", "_origin", "_revision", "_inclusion"

QUEUE_ORIGIN = "queue:"
"""Prefix of the origin of a label from the labelling queue."""
SOURCE = "source"
"""Origin of labels that everfit took from the model's source."""

FILE = "file"
"""Origin of labels of a file that a command has read."""

_REQUEST = "_request"
_COLUMNS = [KEY, LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION]


class RecordedLabels(Record):
    """Counts of received labels. Always `read == added + corrected + unchanged + older + deleted`."""

    read: int = Field(default=0, description="Received labels.")
    added: int = Field(default=0, description="Labels of keys that had none.")
    corrected: int = Field(default=0, description="Labels that differ from the known one.")
    unchanged: int = Field(default=0, description="Labels that repeat the known one.")
    older: int = Field(default=0, description="Labels from before the known one; kept on record.")
    deleted: int = Field(default=0, description="Labels of keys whose deletion was requested; left out.")

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
        target: The labels; shape (rows,). Rows without a label are dropped.
        label_time: When each became known, in UTC; shape (rows,).
        task: Kind of prediction.
        origin: Origin of the labels, such as `source` or the client's name.
        inclusion: Probability of each row to be sampled for manual labelling; shape (rows,).

    Returns:
        Rows with the table's columns.

    Raises:
        DataError: If a label of a regression isn't a finite number, or a label has no time.
    """
    rows = pd.DataFrame({KEY: np.asarray(list(keys), dtype=np.int64)})
    rows[LABEL] = target.to_numpy()
    rows[LABEL_TIME] = pd.to_datetime(label_time.to_numpy(), utc=True)
    rows[LABEL_TIME] = rows[LABEL_TIME].dt.as_unit("us")
    rows[INCLUSION] = np.nan if inclusion is None else inclusion.to_numpy(dtype=np.float64)
    rows = rows[rows[LABEL].notna()].reset_index(drop=True)
    if untimed := int(rows[LABEL_TIME].isna().sum()):
        raise DataError(f"{untimed} labels have no label time; give each the time when it became known")
    if len(rows):
        values = target_values(rows[LABEL].infer_objects(), task)
        if task == "regression" and (bad := ~(np.abs(values.to_numpy(dtype=np.float64)) <= LARGEST)).any():
            raise DataError(
                f"a label is {str(values[bad].iloc[0])!r}; give finite numbers of at most {LARGEST:.1e} as labels of a "
                f"regression"
            )
        rows[LABEL] = values if task == "regression" else values.map(str).astype("str")
    rows[ORIGIN] = pd.array([origin] * len(rows), dtype="str")
    rows[REVISION] = np.zeros(len(rows), dtype=np.int64)
    rows[DAY] = rows[LABEL_TIME].dt.date
    return rows


def record_labels(
    table: Table, rows: pd.DataFrame, deleted: DeletedKeys | None = None, index: LabelIndex | None = None
) -> RecordedLabels:
    """Add labels to the table, and skip those that it has.

    Of two writers at once, the second compares its labels again with those of the first, so that a key's labels of the
    same time have different revisions.

    Args:
        table: The model's labels.
        rows: Rows from `label_rows`.
        deleted: Keys whose labels are left out, because their deletion was requested.
        index: The table's files that this process knows from earlier calls.

    Returns:
        Counts of the labels.

    Raises:
        ConflictError: Other writers were faster each time.
    """
    return record_requests(table, [rows], deleted, index)[0]


def record_requests(
    table: Table,
    requests: Sequence[pd.DataFrame],
    deleted: DeletedKeys | None = None,
    index: LabelIndex | None = None,
) -> list[RecordedLabels]:
    """Add the labels of several requests in one commit, as `record_labels` adds those of one.

    Args:
        table: The model's labels.
        requests: Rows of each request; no two requests have a key in common.
        deleted: As for `record_labels`.
        index: As for `record_labels`.

    Returns:
        Counts of each request's labels.

    Raises:
        ConflictError: Other writers were faster each time.
    """
    index = index or LabelIndex()
    rows = pd.concat([one.assign(_request=number) for number, one in enumerate(requests)], ignore_index=True)
    with index.lock:
        for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
            with contextlib.suppress(ConflictError):
                return _record(table, rows, len(requests), deleted, index)
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
        return _record(table, rows, len(requests), deleted, index)


def _record(
    table: Table, rows: pd.DataFrame, requests: int, deleted: DeletedKeys | None, index: LabelIndex
) -> list[RecordedLabels]:
    gone = np.zeros(len(rows), dtype=np.bool_) if deleted is None else deleted.among_keys(rows[KEY].to_numpy())
    left_out = np.bincount(rows.loc[gone, _REQUEST], minlength=requests).tolist()
    rows = rows[~gone]
    if rows.empty:
        return [RecordedLabels(read=count, deleted=count) for count in left_out]
    version = table.version() if table.exists() else -1
    known = _rows_of(table, version, rows, index)
    rows = rows.drop_duplicates([KEY, LABEL_TIME], keep="last")
    both = pd.concat([known.assign(_new=False), rows[[*_COLUMNS, _REQUEST]].assign(_new=True)], ignore_index=True)
    # Of two labels with the same time, the later one is a correction and gets the next revision.
    both = both.sort_values([KEY, LABEL_TIME, "_new", REVISION], kind="stable", ignore_index=True)
    both[REVISION] = both.groupby([KEY, LABEL_TIME]).cumcount()
    before = both.groupby(KEY)[LABEL].shift()
    repeated = both["_new"] & (before == both[LABEL])
    had = both[KEY].isin(known[KEY])
    newest = known.groupby(KEY)[LABEL_TIME].max().reindex(both[KEY])
    older = both["_new"] & ~repeated & had & (both[LABEL_TIME] < pd.Series(newest.array))
    added = both["_new"] & ~had & ~both.duplicated(KEY)
    corrected = both["_new"] & ~added & ~repeated & ~older
    kinds = {"added": added, "unchanged": repeated, "older": older, "corrected": corrected}
    counted = {
        name: np.bincount(both.loc[chosen, _REQUEST].to_numpy(dtype=np.int64), minlength=requests).tolist()
        for name, chosen in kinds.items()
    }
    counts = [
        RecordedLabels(
            read=sum(values[number] for values in counted.values()) + left_out[number],
            deleted=left_out[number],
            **{name: values[number] for name, values in counted.items()},
        )
        for number in range(requests)
    ]
    # Keep a repeated label with another time, because a label from between the two may still arrive.
    kept = both.loc[both["_new"] & ~(repeated & (both[REVISION] > 0)), _COLUMNS]
    if len(kept):
        content = hashlib.sha256(pd.util.hash_pandas_object(kept, index=False).to_numpy().tobytes()).hexdigest()
        transaction = f"labels-{content[:32]}-{version}"
        table.append(kept.assign(**{DAY: kept[LABEL_TIME].dt.date}), transaction, after=version)
    return counts


def _rows_of(table: Table, version: int, rows: pd.DataFrame, index: LabelIndex) -> pd.DataFrame:
    """Return the table's rows with the same keys."""
    if version < 0:
        return rows[_COLUMNS].head(0)
    known = index.find(table, version, rows[KEY].to_numpy(), _COLUMNS)
    return known if INCLUSION in known else known.assign(**{INCLUSION: np.nan})  # of a table without manual labels


def known_at(
    table: Table,
    until: "datetime",
    keys: "pd.Series | None" = None,
    *,
    clients: ClientsPolicy | None = None,
    origin: str = "",
) -> pd.DataFrame:
    """Return the label of each key as it was known at a moment.

    Labels that don't count are left out first, so that none of them hides one that counts.

    Args:
        table: The model's labels.
        until: The moment.
        keys: Keys to return; by default all.
        clients: The policy of the labels that count; by default all do.
        origin: Beginning of the labels' origins; by default any.

    Returns:
        One row per key: `_key`, `_label`, `_label_time`, `_origin`, `_revision`, `_inclusion`.
    """
    if not table.exists():
        return _nothing()
    wanted = None if keys is None else pd.Index(keys)
    moment = pd.Timestamp(until)
    frames = []
    # The window excludes its end, but a label that becomes known at exactly that moment counts.
    for frame in _batches(table, Window(until=(moment + pd.Timedelta(microseconds=1)).to_pydatetime())):
        selected = frame if wanted is None else frame[frame[KEY].isin(wanted)]
        if origin:
            selected = selected[selected[ORIGIN].str.startswith(origin)]
        if clients is None:
            frames.append(_newest(selected))
            continue
        selected = selected[~selected[ORIGIN].isin(clients.ignored_labels)]
        frames.append(_newest(selected) if clients.max_share == 1 else _newest(selected, [KEY, ORIGIN]))
    if not frames:
        return _nothing()
    known = pd.concat(frames, ignore_index=True)
    if clients is not None and clients.max_share < 1:
        known = _newest(known, [KEY, ORIGIN])
        queues = known.loc[known[ORIGIN].str.startswith(QUEUE_ORIGIN), ORIGIN].unique()
        known = known[within_share(known[KEY], known[ORIGIN], clients.max_share, {SOURCE, FILE, *queues})]
    return _newest(known)


def _batches(table: Table, window: Window | None = None) -> Iterator[pd.DataFrame]:
    """Yield all columns, also of a table that was created before manual labels had an inclusion."""
    there = table.columns()
    for frame in table.batches(window, LABEL_TIME, [name for name in _COLUMNS if name in there]):
        yield frame if INCLUSION in there else frame.assign(**{INCLUSION: np.nan})


def _nothing() -> pd.DataFrame:
    kinds = {KEY: "int64", LABEL: "str", LABEL_TIME: "datetime64[us, UTC]", ORIGIN: "str", REVISION: "int64"}
    kinds[INCLUSION] = "float64"
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds.items()})


def _newest(frame: pd.DataFrame, by: Sequence[str] = (KEY,)) -> pd.DataFrame:
    ordered = frame.sort_values([KEY, LABEL_TIME, REVISION], kind="stable")
    return ordered.drop_duplicates(list(by), keep="last").reset_index(drop=True)


def labelled(predicted: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Join predictions with their labels.

    Args:
        predicted: Rows of the prediction log, with `_key`.
        known: Labels from `known_at`.

    Returns:
        The predictions with `_label`, `_label_time`, `_inclusion` and `_origin`; null without a known label.
    """
    return predicted.merge(
        known[[KEY, LABEL, LABEL_TIME, INCLUSION, ORIGIN]], on=KEY, how="left", validate="many_to_one"
    )


def read_labelled(
    predicted: Table, labels: Table, window: Window, event_time: str, until: "datetime", **wanted: Any
) -> pd.DataFrame:
    """Read a window's predictions with their labels as known at a moment.

    Args:
        predicted: The prediction log.
        labels: The labels.
        window: Span of event time.
        event_time: Column of the event time.
        until: Labels that became known later are ignored.
        **wanted: Arguments of `everfit.tasks.predictions.prediction_log.read`.
    """
    frame = prediction_log.read(predicted, window, event_time, **wanted)
    return labelled(frame, known_at(labels, until, frame.get(KEY)))


def unmatched(labels: Table, predicted: Table, until: "datetime") -> int:
    """Return the number of labelled keys without a prediction, which are kept because it may still arrive."""
    keys = pd.Index(known_at(labels, until)[KEY])
    if predicted.exists():
        for frame in predicted.batches(columns=[KEY]):
            keys = keys.difference(pd.Index(frame[KEY]))
    return len(keys)
