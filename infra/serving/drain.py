"""Move predictions from the spool into the prediction log, each exactly once."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import WorkspaceError
from everfit.infra.serving.rounds import Round, Rounds
from everfit.infra.serving.segment import Segment
from everfit.infra.serving.spool import UNFIT, Spool, SpoolError
from everfit.infra.serving.spooled_columns import spooled_columns
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.deleted_keys import DeletedKeys
from everfit.tasks.storage.tables import DAY, KEY, Table

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

_COMMIT_BYTES = 24 * 2**20
"""Size of the segments in one commit; while it is written, they take five times as much memory."""

_ROWS_AT_ONCE = 20_000
"""Predictions whose keys are computed in one call, in which no request may be answered."""

_COMMIT_DAYS = 1_000  # days in one commit, unless a single segment has more


@dataclass
class DrainState:
    """State of the drain, for `/metrics` and `/models/{name}`.

    Attributes:
        drained: Predictions that this process has added to the log.
        failures: Consecutive failed attempts.
        error: Reason of the last failure; empty after a success.
        set_aside: Segments that a person should inspect.
    """

    drained: int = 0
    failures: int = 0
    error: str = ""
    set_aside: list[str] = field(default_factory=list)


class Drain:
    """Drains one model's spools.

    Each commit contains the epoch of its segments and the number of the last one. A segment with a greater number was
    never added by anyone. Any other may have been: this process was killed before it deleted the segment, or the folder
    is a copy of one that was drained. Its predictions are looked up in the log by their ids, and only those that are
    there are dropped.

    Args:
        spool: This process's spool; those of dead processes beside it are drained as well.
        table: The prediction log.
        key: Key columns of the model.
        event_time: Column of the event time.
        every_s: Seconds between two rounds.
        identity: Without a key, the columns that together identify a row.
        check_store: Function that raises if the table's store isn't safe or can't be reached; it gives the drain
            another table if the model was renamed.
        read_deleted: Function that returns the keys whose deletion was requested; their predictions are not logged.
        after_work: Function to call after a round that moved rows.
        rounds: The threads of the rounds; by default one of its own.

    Attributes:
        former: Folders with spools of the model's former names.
    """

    what = "predictions"

    def __init__(
        self,
        spool: Spool,
        table: Table,
        key: Sequence[str],
        event_time: str,
        every_s: float = 5.0,
        *,
        identity: Sequence[str] = (),
        check_store: Callable[[], object] = lambda: None,
        read_deleted: Callable[[], DeletedKeys] = DeletedKeys,
        after_work: Callable[[], object] = lambda: None,
        rounds: Rounds | None = None,
    ) -> None:
        self._check_store, self._read_deleted, self._after_work = check_store, read_deleted, after_work
        self.spool, self.table, self.key, self.event_time, self.every_s = spool, table, list(key), event_time, every_s
        self.identity = tuple(identity)
        self.former: Sequence[Path] = ()
        self.state = DrainState()
        self._rounds = rounds or Rounds("everfit-drain")
        self._begun: Round | None = None
        self._round = threading.Lock()
        self._taken_back = False

    def start(self) -> None:
        """Drain in the background, starting with the segments of earlier processes."""
        self._begun = self._rounds.begin(self._work)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Drain a last time, and end; the rest stays in the spool for the next process."""
        if self._begun is not None:
            until = time.monotonic() + timeout_s
            if self._begun.end(timeout_s):  # or else the store does not answer
                last = threading.Thread(target=self._drain_all, name="everfit-drain-last", daemon=True)
                last.start()
                last.join(max(0.0, until - time.monotonic()))
        self.spool.close()

    def _drain_all(self) -> int:
        """Drain, and the first time also what was set aside: a service may end before its first round."""
        if not self._taken_back:
            self._taken_back = True
            self.take_back()
        return self.drain()

    def _work(self) -> float:
        if self._drain_all():
            self._after_work()
        # The pause doubles after each failure, up to a minute.
        return min(60.0, self.every_s * 2 ** min(self.state.failures, 6)) if self.state.failures else self.every_s

    def drain(self) -> int:
        """Move all predictions into the log.

        Returns:
            Number of moved predictions; `state` describes a failure.
        """
        with self._round:
            try:
                if self._is_empty():  # asking the store each time would cost a service of many models much
                    self.state.failures, self.state.error = 0, ""
                    return 0
                self._check_store()
                moved = self._round_of_own() + self._of_dead("*.seg", self._empty)
            except Exception as error:  # noqa: BLE001 - the store may fail in any way, and the spool keeps all rows
                self.state.failures += 1
                self.state.error = f"{type(error).__name__}: {error}"
                logger.warning("the table can't be written, so %s stay in the spool: %s", self.what, self.state.error)
                return 0
            self.state.failures, self.state.error = 0, ""
            self.state.drained += moved
            return moved

    def _is_empty(self) -> bool:
        own = self.spool.open_rows or self.spool.sealed()
        return not own and next(self._dead("*.seg"), None) is None

    def _round_of_own(self) -> int:
        self.spool.seal()
        return self._empty(self.spool)

    def take_back(self) -> None:
        """Retry the segments that were set aside, because the log may accept them by now."""
        with self._round:
            try:
                self._check_store()
                self.state.drained += self._put_back(self.spool) + self._of_dead("aside/*.seg", self._put_back)
            except Exception as error:  # noqa: BLE001 - the store may fail in any way, and the segments stay set aside
                logger.warning("the table can't be written, so segments of %s stay set aside: %s", self.what, error)

    def _put_back(self, spool: Spool) -> int:
        return spool.take_back(lambda segment: self._add_missing([segment]))

    def _of_dead(self, pattern: str, work: Callable[[Spool], int]) -> int:
        """Apply a function to the spools of dead processes that have files of a pattern."""
        done = 0
        for folder in self._dead(pattern):
            try:
                left = Spool(folder)
            except SpoolError:
                continue  # a running process drains it
            try:
                done += work(left)
            finally:
                left.close()
        return done

    def _dead(self, pattern: str) -> Iterator[Path]:
        """Yield the folders of other processes, most of them dead, that have files of a pattern."""
        beside = [self.spool.folder.parent, *(folder for folder in self.former if folder.is_dir())]
        for folder in sorted(folder for parent in beside for folder in parent.iterdir()):
            if folder != self.spool.folder and any(path.stat().st_size for path in folder.glob(pattern)):
                yield folder

    def _empty(self, spool: Spool) -> int:
        moved = 0
        for epoch, numbers in _by_epoch(spool).items():
            done = prediction_log.last_append(self.table, epoch) if epoch else 0
            known = [number for number, sequence in numbers if not epoch or sequence <= done]
            if known and epoch:
                self.table.sync_found(epoch)  # the commit was made, and its flush may have failed
            new = {sequence: number for number, sequence in reversed(numbers[len(known) :])}
            copies = [number for number, sequence in numbers[len(known) :] if new[sequence] != number]
            for number in known:
                moved += self._settle(spool, [spool.read(number)], self._add_missing)
            for group in self._groups(spool, [new[sequence] for sequence in sorted(new)]):
                moved += self._settle(spool, group, self._append)
            for number in copies:  # somebody has copied a segment within the folder
                moved += self._settle(spool, [spool.read(number)], self._add_missing)
        return moved

    def _groups(self, spool: Spool, numbers: Sequence[int]) -> Iterator[list[Segment]]:
        """Yield segments of an epoch for one commit: in order, with the same columns, and of bounded size.

        A commit opens a file for each day, so the days are bounded too.
        """
        if len(numbers) == 1:  # its days don't matter
            yield [spool.read(numbers[0])]
            return
        group: list[Segment] = []
        size, days = 0, set[Any]()
        for number in numbers:
            segment, own = self._taken_apart(spool.read(number))
            bytes_on_disk = spool.size(number)
            full = size + bytes_on_disk > _COMMIT_BYTES or len(days | own) > _COMMIT_DAYS
            if group and (full or segment.types != group[0].types):
                yield group
                group, size, days = [], 0, set()
            group.append(segment)
            size += bytes_on_disk
            days |= own
        if group:
            yield group

    def _taken_apart(self, segment: Segment) -> tuple[Segment, set[Any]]:
        """Return a segment with its columns in place of its batches, and the days of its rows."""
        import pyarrow.compute as pc

        try:
            columns = spooled_columns(segment)
            days = pc.unique(pc.floor_temporal(columns[self.event_time], unit="day")) if columns.num_rows else []
        except UNFIT:  # it is set aside when it is to be added
            return segment, set()
        return replace(segment, payloads=(), columns=columns), {day for day in days if day.is_valid}

    def _settle(self, spool: Spool, group: list[Segment], add: Callable[[list[Segment]], int]) -> int:
        """Add segments to the log and delete them; keep aside what is damaged or does not fit."""
        for segment in group:
            if segment.damaged:
                self._set_aside(spool, segment.number, f"{segment.damaged} bytes of it are damaged")
        table = self.table
        try:
            added = add(group)
        except UNFIT as error:
            if len(group) > 1:
                return sum(self._settle(spool, [segment], add) for segment in group)
            # These rows will never fit, but the segments behind them may.
            added = 0
            self._set_aside(spool, group[0].number, str(error))
        self._check_store()
        if self.table is not table:  # the model was renamed meanwhile: what was written may not have moved with it
            raise WorkspaceError("the model was renamed while rows were written; they are looked up under its new name")
        spool.discard([segment.number for segment in group])
        return added

    def _append(self, group: list[Segment]) -> int:
        """Add segments of one epoch that nobody has added before; return the number of added predictions."""
        rows = self._rows(group)
        if not rows.num_rows or prediction_log.append(self.table, rows, group[-1].epoch, group[-1].sequence):
            return int(rows.num_rows)
        return self._add_missing(group)  # another process drains a copy of this folder

    def _add_missing(self, group: list[Segment]) -> int:
        """Add the predictions of segments that the log does not have; return their number."""
        rows = self._rows(group)
        return prediction_log.append_missing(self.table, rows, group[-1].epoch) if rows.num_rows else 0

    def _rows(self, group: list[Segment]) -> "pa.Table":
        rows = self._as_table(group)
        deleted = self._read_deleted()
        if not deleted.requests or not rows.num_rows:
            return rows
        key = [name for name in self.key if name in rows.column_names]
        gone = deleted.among_rows(rows.select(key).to_pandas(), rows[KEY].to_numpy())
        if gone.any():
            logger.info("%d predictions are not logged, because the deletion of their key was requested", gone.sum())
        return rows.filter(~gone)

    def _as_table(self, group: list[Segment]) -> "pa.Table":
        """Return the predictions of segments; a column that none of them has, such as of intervals, stays out."""
        import pyarrow as pa

        types = group[0].types
        columns = (spooled_columns(one) if one.columns is None else one.columns for one in group)
        parts = [
            prediction_log.with_keys(part, self.key, self.event_time, identity=self.identity)
            for whole in columns
            for part in (whole.slice(start, _ROWS_AT_ONCE) for start in range(0, whole.num_rows, _ROWS_AT_ONCE))
        ]
        rows = pa.concat_tables(parts, promote_options="default") if parts else pa.table({})
        return rows.select(sorted(rows.column_names, key=[*types, KEY, DAY].index))

    def _set_aside(self, spool: Spool, number: int, reason: str) -> None:
        kept: Path = spool.set_aside(number)
        if str(kept) not in self.state.set_aside:
            self.state.set_aside.append(str(kept))
        logger.error("segment %s of the spool is set aside in %s: %s", number, kept, reason)


def _by_epoch(spool: Spool) -> dict[str, list[tuple[int, int]]]:
    """Return the file and sequence numbers of the closed segments by epoch, in the order of writing."""
    epochs: dict[str, list[tuple[int, int]]] = {}
    for number in spool.sealed():
        epoch, sequence = spool.name(number)
        epochs.setdefault(epoch, []).append((number, sequence))
    return {epoch: sorted(numbers, key=lambda pair: pair[1]) for epoch, numbers in epochs.items()}
