"""Keep labels by key; a correction supersedes a label, and the superseded one stays on record.

The table is append-only. The valid label of a key at `until` is its newest one whose label time isn't after `until`, so
the table can be read as it was known at any time.

Columns: `_key`, as in the dataset and the prediction log; `_label`, the class as text or the true number, as in
`_prediction`; `_label_time`, when it became known; `_origin`, the source or client; `_revision`, the number of earlier
labels with the same key and time; `_inclusion`, the probability of a manual label's row to be sampled, else null;
`_day`, the day of the label time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import current_spread
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.client_shares import within_share
from everfit.tasks.predictions.held_labels import held_of
from everfit.tasks.statistics.scores import target_values
from everfit.tasks.storage.table_parts import TablePart, table_parts
from everfit.tasks.storage.tables import DAY, KEY, Table
from everfit.tasks.storage.values import LARGEST

if TYPE_CHECKING:
    from datetime import datetime

LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION = "_label", "_label_time", "_origin", "_revision", "_inclusion"

QUEUE_ORIGIN = "queue:"
"""Prefix of the origin of a label from the labelling queue."""
REPLACED_ORIGIN = "queue:replaced:"
"""Prefix of the origin of a label from the queue that replaced a wrong one."""
SOURCE = "source"
"""Origin of labels that everfit took from the model's source."""

FILE = "file"
"""Origin of labels of a file that a command has read."""

_COLUMNS = [KEY, LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION]


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
    wanted = None if keys is None else pd.Index(keys, dtype=np.int64).unique()
    # The window excludes its end, but a label that becomes known at exactly that moment counts.
    span = Window(until=(pd.Timestamp(until) + pd.Timedelta(microseconds=1)).to_pydatetime())
    asked = _Known(table, span, wanted, clients, origin)
    if (held := held_of(table, wanted, until)) is not None:
        frames = [_counted(asked, held)]
    else:
        parts = current_spread()(_known_of_part, asked, table_parts(table, span))
        frames = [frame for part in parts for frame in part]
    if not frames:
        return _nothing()
    known = pd.concat(frames, ignore_index=True)
    if clients is not None and clients.max_share < 1:
        known = _newest(known, [KEY, ORIGIN])
        queues = known.loc[known[ORIGIN].str.startswith(QUEUE_ORIGIN), ORIGIN].unique()
        known = known[within_share(known[KEY], known[ORIGIN], clients.max_share, {SOURCE, FILE, *queues})]
    return _newest(known)


@dataclass(frozen=True)
class _Known:
    """The request that all parts of the labels share; see `known_at`."""

    table: Table
    span: Window
    keys: "pd.Index[int] | None"
    clients: ClientsPolicy | None
    origin: str


def _known_of_part(asked: _Known, part: TablePart) -> list[pd.DataFrame]:
    """Return the newest labels of each chunk of a part, with all columns.

    A table that was created before manual labels had an inclusion lacks that column.
    """
    there = asked.table.columns(part.version)
    columns = [name for name in _COLUMNS if name in there]
    return [_counted(asked, frame) for frame in part.batches(asked.table, asked.span, LABEL_TIME, columns)]


def _counted(asked: _Known, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the newest of some labels that count, of each key, or of each key and origin."""
    clients = asked.clients
    by = [KEY] if clients is None or clients.max_share == 1 else [KEY, ORIGIN]
    selected = frame if asked.keys is None else frame[asked.keys.get_indexer(pd.Index(frame[KEY])) >= 0]
    if asked.origin:
        selected = selected[selected[ORIGIN].str.startswith(asked.origin)]
    if clients is not None:
        selected = selected[~selected[ORIGIN].isin(clients.ignored_labels)]
    whole = selected if INCLUSION in selected else selected.assign(**{INCLUSION: np.nan})
    return _newest(whole[_COLUMNS], by)


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
