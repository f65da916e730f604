"""Keep labels of requests on the local disk until the labels table has them, each exactly once.

A request is answered when its labels are in a spool like that of the predictions. Its counts come from the table and
from the labels that wait. So a request costs neither a commit nor a file of the table.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.errors import WorkspaceError
from everfit.infra.serving.drain import Drain
from everfit.infra.serving.rounds import Rounds
from everfit.infra.serving.segment import Columns, Segment
from everfit.infra.serving.spool import Spool
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.label_recording import RecordedLabels, count_requests, record_requests
from everfit.tasks.predictions.labels import INCLUSION, LABEL, LABEL_TIME, ORIGIN, REVISION
from everfit.tasks.storage.deleted_keys import DeletedKeys
from everfit.tasks.storage.tables import DAY, KEY, AlreadyWrittenError, Table

logger = logging.getLogger(__name__)

_MOST_BYTES = 64 * 2**20
"""Size of the spool; labels that wait are held in memory too."""

_KEPT = [KEY, LABEL, LABEL_TIME, ORIGIN]
_NUMBERS, _CLASSES = "double", "string"

_DAY_US = 86_400_000_000

_Numbered = tuple[int, pd.DataFrame]


class WaitingLabels:
    """The labels that the spool has and the table may not have yet, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = itertools.count()
        self._leaving: dict[int, list[_Numbered]] = {}
        self._new: dict[int, list[_Numbered]] = {}

    def add(self, rows: pd.DataFrame) -> None:
        """Remember labels that the spool has got."""
        with self._lock:
            numbered = next(self._count), rows
            for key in set(rows[KEY].tolist()):
                self._new.setdefault(key, []).append(numbered)

    def find(self, keys: Sequence[int]) -> pd.DataFrame | None:
        """Return the labels of some keys in the order of their arrival, or None without any."""
        with self._lock:
            places = self._leaving, self._new
            found = dict(numbered for place in places for key in keys for numbered in place.get(key, ()))
        if not found:
            return None
        return pd.concat([found[number][found[number][KEY].isin(keys)] for number in sorted(found)], ignore_index=True)

    def leave(self) -> None:
        """Note that all labels so far are about to be written into the table."""
        with self._lock:
            for key, rows in self._new.items():
                self._leaving.setdefault(key, []).extend(rows)
            self._new = {}

    def forget(self) -> None:
        """Forget the labels that were about to be written, because the table has them."""
        with self._lock:
            self._leaving = {}


class LabelDrain(Drain):
    """Drains one model's labels; a commit has the labels of many requests.

    Args:
        spool: This process's spool of labels.
        table: The labels.
        index: The table's files that this process knows.
        waiting: The labels in the spool, which are forgotten once the table has them.
        every_s: Seconds between two rounds.
        check_store: As for `Drain`.
        read_deleted: As for `Drain`.
        rounds: As for `Drain`.
    """

    what = "labels"

    def __init__(
        self,
        spool: Spool,
        table: Table,
        index: LabelIndex,
        waiting: WaitingLabels,
        every_s: float,
        *,
        check_store: Callable[[], object],
        read_deleted: Callable[[], DeletedKeys],
        rounds: Rounds | None = None,
    ) -> None:
        given: dict[str, Any] = {"check_store": check_store, "read_deleted": read_deleted, "rounds": rounds}
        super().__init__(spool, table, [KEY], LABEL_TIME, every_s, **given)
        self._index, self._waiting = index, waiting

    def _round_of_own(self) -> int:
        self._waiting.leave()
        moved = super()._round_of_own()
        self._waiting.forget()
        return moved

    def _append(self, group: list[Segment]) -> int:
        try:
            return self._record(group, again=False)
        except AlreadyWrittenError:
            return self._add_missing(group)  # another process drains a copy of this folder

    def _add_missing(self, group: list[Segment]) -> int:
        return self._record(group, again=True)

    def _taken_apart(self, segment: Segment) -> tuple[Segment, set[Any]]:
        return segment, {at // _DAY_US for batch in segment.batches for at in batch[LABEL_TIME]}

    def _record(self, group: list[Segment], *, again: bool) -> int:
        requests = [_rows_of(batch, segment.types) for segment in group for batch in segment.batches]
        if not requests:
            return 0
        writer = None if again else (group[-1].epoch, group[-1].sequence)
        counts = record_requests(self.table, requests, self._read_deleted(), self._index, writer=writer, again=again)
        return sum(one.read - one.unchanged - one.deleted for one in counts)


def _rows_of(batch: Columns, kinds: dict[str, str]) -> pd.DataFrame:
    """Return the labels of a micro-batch as rows of the table."""
    rows = pd.DataFrame({KEY: np.asarray(batch[KEY], dtype=np.int64)})
    rows[LABEL] = pd.array(batch[LABEL], dtype="float64" if kinds[LABEL] == _NUMBERS else "str")
    rows[LABEL_TIME] = pd.to_datetime(pd.Series(batch[LABEL_TIME]), unit="us", utc=True).dt.as_unit("us")
    rows[ORIGIN] = pd.array(batch[ORIGIN], dtype="str")
    rows[REVISION], rows[INCLUSION] = np.int64(0), np.nan
    rows[DAY] = rows[LABEL_TIME].dt.date
    return rows


class LabelJournal:
    """Takes the labels of a model's requests.

    Args:
        folder: Folder for the spool, on a local disk.
        table: The labels.
        sync: Whether to flush to the disk before a request is answered.
        every_s: Seconds between two writes into the table.
        most_days: Days in one segment, unless a single request has more; the table has a file for each.
        check_store: Function that raises if the table's store isn't safe or can't be reached.
        read_deleted: Function that returns the keys whose deletion was requested; their labels are left out.
        rounds: The threads in which labels are written into the table; by default one of its own.
    """

    def __init__(
        self,
        folder: Path,
        table: Table,
        *,
        sync: bool,
        every_s: float,
        most_days: int,
        check_store: Callable[[], object] = lambda: None,
        read_deleted: Callable[[], DeletedKeys] = DeletedKeys,
        rounds: Rounds | None = None,
    ) -> None:
        self._most_days = most_days
        self._check_store, self._read_deleted = check_store, read_deleted
        self._index, self._waiting, self._days = LabelIndex(), WaitingLabels(), set[object]()
        self.spool = Spool.claim(folder, max_bytes=_MOST_BYTES, sync=sync)
        self.drain = LabelDrain(
            self.spool,
            table,
            self._index,
            self._waiting,
            every_s,
            check_store=check_store,
            read_deleted=read_deleted,
            rounds=rounds,
        )

    def keep(self, requests: Sequence[pd.DataFrame]) -> list[RecordedLabels]:
        """Keep the labels of requests durably.

        Args:
            requests: Rows of each request from `read_labels`; no two requests have a key in common.

        Returns:
            Counts of each request's labels.

        Raises:
            DataError: If the table's labels are of another type.
            SpoolError: If the labels can't be stored durably.
            WorkspaceError: If the table can't be read; the message hides its address from clients.
        """
        from deltalake.exceptions import DeltaError

        both = pd.concat(requests, ignore_index=True)
        try:
            self._check_store()
            deleted = self._read_deleted()
            waiting = self._waiting.find(both[KEY].tolist())  # first: what is written meanwhile is found in the table
            counts = count_requests(self.drain.table, waiting, requests, deleted, self._index)
        except (WorkspaceError, DeltaError, OSError) as error:
            logger.warning("labels can't be compared with those of the table: %s", error)
            raise WorkspaceError(f"the labels can't be taken now ({type(error).__name__}); send them again") from error
        rows = both[~deleted.among_keys(both[KEY].to_numpy())]
        if len(rows):
            self._append(rows)
        return counts

    def _append(self, rows: pd.DataFrame) -> None:
        days = set(rows[DAY])
        if len(self._days | days) > self._most_days or not self.spool.open_rows:
            self.spool.seal()
            self._days = set()
        self._days |= days
        kind = _NUMBERS if pd.api.types.is_float_dtype(rows[LABEL]) else _CLASSES
        times = rows[LABEL_TIME].dt.as_unit("us").astype("int64")
        columns = {name: times.tolist() if name == LABEL_TIME else rows[name].tolist() for name in _KEPT}
        self.spool.append({KEY: "long", LABEL: kind, LABEL_TIME: "datetime", ORIGIN: "string"}, columns)
        self._waiting.add(rows)
