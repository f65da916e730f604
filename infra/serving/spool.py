"""The write-ahead spool keeps a prediction on the local disk until the prediction log has it.

A spool is a folder of segments. Requests that were predicted together cost one write and one flush together.

Each process that opens a spool has a random epoch, which is never stored but in its segments. So no two segments that
were written apart have the same name, even if a folder was copied, restored from a backup or cleaned.

A write that has returned is in the page cache, so it survives SIGKILL in any case. With `sync` the frame is also
flushed to the disk before `append` returns, so it survives a power cut.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from everfit.blocks.errors import DataError, EverfitError
from everfit.infra.serving.segment import Columns, Segment, batch_rows, first_frame, frame, read_name, read_segment
from everfit.tasks.storage.durable import make_folder, sync_file, sync_folder

_DIGITS = 16

UNFIT = (DataError, KeyError, ValueError, TypeError)
"""Errors of a segment that doesn't fit the log, however often it is tried."""


class SpoolError(EverfitError):
    """The spool can't store the predictions, so they must not be returned."""


class SpoolFullError(SpoolError):
    """The spool is full, because the prediction log was unreachable for too long."""


class Spool:
    """The place of one process in a model's spool folder.

    Args:
        folder: This process's own folder.
        max_bytes: Maximum size of all segments together.
        segment_bytes: Size at which a segment is closed.
        sync: Whether to flush to the disk before `append` returns, not only to the page cache.

    Raises:
        SpoolError: If another process has the folder.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = 2**30, segment_bytes: int = 8 * 2**20, sync: bool = True
    ) -> None:
        self.folder, self.max_bytes, self.segment_bytes, self.sync = folder, max_bytes, segment_bytes, sync
        make_folder(folder)
        self._lock = threading.Lock()
        self._guard = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._guard)
            raise SpoolError(f"a running process has the spool {str(folder)!r}; use another folder") from error
        self.epoch = uuid.uuid4().hex
        self._sequence = 0
        self._types: dict[str, str] = {}
        self._descriptor = -1
        self._open_bytes = self._open_rows = 0
        sizes = {number: path.stat().st_size for number, path in self._files()}
        self._next = max((*sizes, time.time_ns() // 1_000)) + 1  # a backup that is copied back replaces no file
        self._sealed_bytes = {number: size for number, size in sizes.items() if size}
        for number in (
            sizes.keys() - self._sealed_bytes.keys()
        ):  # there was no disk space, or an earlier everfit counted by it
            self._path(number).unlink(missing_ok=True)

    @classmethod
    def claim(cls, root: Path, **settings: Any) -> Self:
        """Take the first folder under `root` that no running process has, with the segments of a dead one."""
        for slot in range(10_000):
            try:
                return cls(root / f"{slot:04d}", **settings)
            except SpoolError:
                continue
        raise SpoolError(f"no free folder under {str(root)!r}; are 10,000 processes serving this model?")

    def _files(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem), path) for path in self.folder.glob("*.seg"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:0{_DIGITS}d}.seg"

    @property
    def held_bytes(self) -> int:
        """Return the bytes that the spool holds on disk."""
        return self._open_bytes + sum(list(self._sealed_bytes.values()))

    @property
    def held_seconds(self) -> float:
        """Return the seconds since the oldest segment was written, which is about the age of its predictions."""
        written = []
        for _, path in self._files():
            try:
                status = path.stat()
            except FileNotFoundError:  # it was drained meanwhile
                continue
            if status.st_size:
                written.append(status.st_mtime)
        return max(0.0, time.time() - min(written)) if written else 0.0

    @property
    def open_rows(self) -> int:
        """Return the number of predictions in the open segment."""
        return self._open_rows

    def append(self, types: Mapping[str, str], batch: Columns) -> None:
        """Write one micro-batch durably.

        Args:
            types: Kind of each column; a change starts a new segment.
            batch: The columns. A NaN is stored as null.

        Raises:
            SpoolFullError: If the spool has reached its maximum size.
            SpoolError: If the disk refuses the write.
        """
        record = frame(orjson.dumps(batch, option=orjson.OPT_SERIALIZE_NUMPY))
        with self._lock:
            if self.held_bytes + len(record) > self.max_bytes:
                raise SpoolFullError(
                    f"the spool holds {self.held_bytes!r} of at most {self.max_bytes!r} bytes; "
                    f"the workspace can't be reached or is too slow"
                )
            try:
                if self._descriptor < 0 or types != self._types:
                    self._seal()
                    self._start(types)
                self._write(record)
            except OSError as error:
                raise SpoolError(f"the spool can't be written: {error.strerror!r}; is the disk full?") from error
            self._open_rows += batch_rows(batch)
            if self._open_bytes >= self.segment_bytes:
                self._seal()

    def _start(self, types: Mapping[str, str]) -> None:
        path = self._path(self._next)
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._next += 1
        self._sequence += 1
        self._open_bytes, self._open_rows, self._types = 0, 0, dict(types)
        try:
            self._write(first_frame(self.epoch, self._sequence, self._types))
            if self.sync:  # the file's name must be as durable as its content
                sync_folder(self.folder)
        except OSError:
            # Nothing in a segment without its beginning can be read, so the next prediction must start another one.
            self._close()
            path.unlink()
            self._next -= 1
            raise

    def _write(self, content: bytes) -> None:
        try:
            if os.write(self._descriptor, content) != len(content):
                raise OSError(28, "No space left on device")
            if self.sync:
                os.fdatasync(self._descriptor)
        except OSError:
            # Half a frame would hide the frames behind it, and a refused prediction must not be logged.
            try:
                os.ftruncate(self._descriptor, self._open_bytes)
            except OSError:  # nothing more goes into this segment, then
                self._seal()
            raise
        self._open_bytes += len(content)

    def _seal(self) -> None:
        if self._descriptor >= 0 and self._open_bytes:
            self._sealed_bytes[self._next - 1] = self._open_bytes
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._open_bytes, self._open_rows = -1, 0, 0

    def seal(self) -> None:
        """Close the open segment if it has predictions, so that it can be drained."""
        with self._lock:
            if self._open_rows:
                self._seal()

    def sealed(self) -> list[int]:
        """Return the numbers of the closed segments, the oldest first."""
        return sorted(self._sealed_bytes)

    def size(self, number: int) -> int:
        """Return the bytes of a closed segment."""
        return self._sealed_bytes.get(number, 0)

    def name(self, number: int) -> tuple[str, int]:
        """Return the epoch and the sequence number of a closed segment; an empty epoch if it has no readable name."""
        return read_name(self._path(number))

    def read(self, number: int) -> Segment:
        """Read a closed segment without a torn end and damaged frames."""
        path, size = self._path(number), self._sealed_bytes.get(number, 0)
        if size and path.stat().st_size > size:  # a refused prediction could not be taken away then
            os.truncate(path, size)
        return read_segment(number, path)

    def discard(self, numbers: Sequence[int]) -> None:
        """Delete segments that the log has."""
        with self._lock:
            for number in numbers:
                self._path(number).unlink(missing_ok=True)
                self._sealed_bytes.pop(number, None)

    def set_aside(self, number: int) -> Path:
        """Keep a copy of a damaged or refused segment, for a person to inspect; it is named by its content."""
        aside = self.folder / "aside"
        make_folder(aside)
        content = self._path(number).read_bytes()
        kept = aside / f"{hashlib.sha256(content).hexdigest()[:32]}.seg"
        if not kept.exists():
            unfinished = kept.with_suffix(".tmp")
            unfinished.write_bytes(content)
            sync_file(unfinished)
            unfinished.replace(kept)
            sync_folder(aside)
        return kept

    def take_back(self, put: Callable[[Segment], object]) -> int:
        """Retry the segments that were set aside, and delete those that succeed.

        Damaged segments are skipped, because their readable part was already drained.

        Args:
            put: Function that adds a segment to the log, or raises.

        Returns:
            Number of predictions in the segments that the log has now.
        """
        taken = 0
        for path in sorted((self.folder / "aside").glob("*.seg")):
            segment = read_segment(0, path)
            if segment.rows and not segment.damaged:
                with contextlib.suppress(*UNFIT):
                    put(segment)
                    path.unlink()
                    taken += segment.rows
        return taken

    @property
    def aside(self) -> int:
        """Return the number of segments that are set aside in this folder and those beside it."""
        return sum(1 for _ in self.folder.parent.glob("*/aside/*.seg"))

    def close(self) -> None:
        """Close the open segment and release the folder."""
        self.seal()
        with self._lock:
            self._seal()
            if self._guard >= 0:
                os.close(self._guard)
            self._guard = -1
