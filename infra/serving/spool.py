"""The write-ahead spool: an answered prediction is on this machine's disk until the prediction log has it.

A spool is a folder of numbered segments. A segment is a magic word, then frames: the payload's length and CRC-32, both
little-endian 32-bit numbers, then the payload. The first frame says which columns the others have, each of the others
is one micro-batch, so that requests which were predicted together cost one write and one flush together.

What survives: a write that returned is in the page cache, so it outlives SIGKILL whatever the setting. With `sync` the
frame is also flushed to the disk before `append` returns, so it outlives a power cut.
"""

import contextlib
import fcntl
import os
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from everfit.blocks.errors import DataError, EverfitError

MAGIC = b"everfit1"
_FRAME = struct.Struct("<II")
_DIGITS = 16

UNFIT = (DataError, KeyError, ValueError, TypeError)
"""What says of a segment that it doesn't fit, however often it is tried."""

Columns = Mapping[str, Sequence[Any]]
"""One micro-batch: for each column its values, all of the same length."""


class SpoolError(EverfitError):
    """The spool can't take the predictions, so they must not be answered."""


class SpoolFullError(SpoolError):
    """The spool has as much as it may hold: the prediction log has not been reached for too long."""


@dataclass(frozen=True)
class Segment:
    """What could be read of one segment.

    Attributes:
        number: Its place in the spool's order; never used twice.
        types: The kind of each column.
        batches: The micro-batches, in the order in which they were written.
        damaged: Bytes that no whole frame could be made of, other than a torn end.
    """

    number: int
    types: dict[str, str]
    batches: list[dict[str, list[Any]]]
    damaged: int = 0

    @property
    def rows(self) -> int:
        """How many predictions it holds."""
        return sum(_rows(batch) for batch in self.batches)


def _rows(batch: Columns) -> int:
    return len(next(iter(batch.values()), ()))


def _frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def frames(content: bytes) -> tuple[list[bytes], int]:
    """Take a segment apart.

    An end that is cut off is left out: its `append` never returned. Anything else that is no whole frame is damage; the
    whole frames behind it are found again.

    Returns:
        The payloads, and how many bytes are damaged.
    """
    if not content.startswith(MAGIC):
        return [], len(content) if len(content) >= len(MAGIC) else 0
    position, damaged, payloads = len(MAGIC), 0, []
    while position + _FRAME.size <= len(content):
        end = _frame_end(content, position)
        if end is not None:
            payloads.append(content[position + _FRAME.size : end])
            position = end
            continue
        found = _next_frame(content, position + 1)
        if found is None:
            cut_off = position + _FRAME.size + _FRAME.unpack_from(content, position)[0] > len(content)
            return payloads, damaged + (0 if cut_off else len(content) - position)
        damaged, position = damaged + found - position, found
    return payloads, damaged


def _frame_end(content: bytes, position: int) -> int | None:
    length, checksum = _FRAME.unpack_from(content, position)
    start = position + _FRAME.size
    whole = start + length <= len(content) and zlib.crc32(memoryview(content)[start : start + length]) == checksum
    return start + length if whole and length else None


def _next_frame(content: bytes, position: int) -> int | None:
    # Every payload is a JSON object with at least one column, which gives a mark to look for.
    mark = content.find(b'{"', position + _FRAME.size)
    while mark >= 0:
        if _frame_end(content, mark - _FRAME.size) is not None:
            return mark - _FRAME.size
        mark = content.find(b'{"', mark + 1)
    return None


class Spool:
    """One process's place in a model's spool folder.

    Args:
        folder: This process's own folder.
        max_bytes: What all segments together may hold.
        segment_bytes: From this size on a segment is closed.
        sync: Flush to the disk before `append` returns, not only to the page cache.

    Raises:
        SpoolError: another process has the folder.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = 2**30, segment_bytes: int = 8 * 2**20, sync: bool = True
    ) -> None:
        self.folder, self.max_bytes, self.segment_bytes, self.sync = folder, max_bytes, segment_bytes, sync
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._guard = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._guard)
            raise SpoolError(f"the spool {str(folder)!r} belongs to a process that is running") from error
        self.id = self._identity()
        self._types: dict[str, str] = {}
        self._descriptor = -1
        self._open_bytes = self._open_rows = 0
        sizes = {number: path.stat().st_size for number, path in self._files()}
        self._next = max(sizes, default=0) + 1
        self._sealed_bytes = {number: size for number, size in sizes.items() if size}

    @classmethod
    def claim(cls, root: Path, **settings: Any) -> Self:
        """Take the first folder under `root` that no living process has, with what a dead one may have left in it."""
        for slot in range(10_000):
            try:
                return cls(root / f"{slot:04d}", **settings)
            except SpoolError:
                continue
        raise SpoolError(f"no free folder under {str(root)!r}; are 10,000 processes serving this model?")

    def _identity(self) -> str:
        # The log remembers by this name how far it has come, so it must never be used by another spool.
        path = self.folder / "id"
        if not path.exists():
            unfinished = path.with_suffix(".tmp")
            unfinished.write_text(f"spool-{uuid.uuid4().hex}")
            unfinished.replace(path)
        return path.read_text()

    def _files(self) -> list[tuple[int, Path]]:
        return sorted((int(path.stem), path) for path in self.folder.glob("*.seg"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:0{_DIGITS}d}.seg"

    @property
    def held_bytes(self) -> int:
        """What the spool holds, on disk."""
        return self._open_bytes + sum(list(self._sealed_bytes.values()))

    @property
    def held_seconds(self) -> float:
        """For how long the oldest segment hasn't been written to: about as old are the predictions in it."""
        written = []
        for _, path in self._files():
            try:
                found = path.stat()
            except FileNotFoundError:  # drained in between
                continue
            if found.st_size:
                written.append(found.st_mtime)
        return max(0.0, time.time() - min(written)) if written else 0.0

    @property
    def open_rows(self) -> int:
        """Predictions in the segment that is still being written."""
        return self._open_rows

    def append(self, types: Mapping[str, str], batch: Columns) -> None:
        """Write one micro-batch; when this returns it's durable.

        Args:
            types: The kind of each column; a change of it starts a new segment.
            batch: The columns. A float that is no number is kept as null.

        Raises:
            SpoolFullError: the spool has reached its bound.
            SpoolError: the disk refused.
        """
        record = _frame(orjson.dumps(batch, option=orjson.OPT_SERIALIZE_NUMPY))
        with self._lock:
            if self.held_bytes + len(record) > self.max_bytes:
                raise SpoolFullError(
                    f"the spool holds {self.held_bytes!r} of at most {self.max_bytes!r} bytes; "
                    f"the prediction log can't be reached, or can't keep up"
                )
            try:
                if self._descriptor < 0 or types != self._types:
                    self._seal()
                    self._start(types)
                self._write(record)
            except OSError as error:
                raise SpoolError(f"the spool can't be written: {error.strerror!r}; is the disk full?") from error
            self._open_rows += _rows(batch)
            if self._open_bytes >= self.segment_bytes:
                self._seal()

    def _start(self, types: Mapping[str, str]) -> None:
        path = self._path(self._next)
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._next += 1
        self._open_bytes, self._open_rows, self._types = 0, 0, dict(types)
        try:
            self._write(MAGIC + _frame(orjson.dumps(self._types)))
            if self.sync:  # the name in the folder must be as durable as the content
                folder = os.open(self.folder, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError:
            # Without its beginning nothing in it could be read, so the next prediction must begin another one; of the
            # same number, which no prediction was in, and by whose file the count goes on after a restart.
            os.close(self._descriptor)
            self._descriptor, self._open_bytes = -1, 0
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
            # Half a frame in the middle would hide those behind it, and a refused prediction must not be logged.
            os.ftruncate(self._descriptor, self._open_bytes)
            raise
        self._open_bytes += len(content)

    def _seal(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._sealed_bytes[self._next - 1] = self._open_bytes
        self._descriptor, self._open_bytes, self._open_rows = -1, 0, 0

    def seal(self) -> None:
        """Close the segment that is being written, if it has any prediction, so that it can be drained."""
        with self._lock:
            if self._open_rows:
                self._seal()

    def sealed(self) -> list[int]:
        """The numbers of the segments that are ready to be drained, the oldest first."""
        return sorted(self._sealed_bytes)

    def size(self, number: int) -> int:
        """The bytes of a closed segment."""
        return self._sealed_bytes.get(number, 0)

    def read(self, number: int) -> Segment:
        """Read a closed segment, leaving out a torn end and damaged frames."""
        return self._read(number, self._path(number))

    @staticmethod
    def _read(number: int, path: Path) -> Segment:
        payloads, damaged = frames(path.read_bytes())
        if not payloads:
            return Segment(number, {}, [], damaged)
        types, *batches = [orjson.loads(payload) for payload in payloads]
        if not all(isinstance(kind, str) for kind in types.values()):
            # The first frame is damaged, and nothing says what the columns of the others are.
            return Segment(number, {}, [], damaged + sum(map(len, payloads)))
        return Segment(number, types, batches, damaged)

    def discard(self, numbers: Sequence[int]) -> None:
        """Forget segments that the log has. The highest number stays, emptied, so that it is never given twice."""
        with self._lock:
            newest = self._next - 1
            for number in numbers:
                if number == newest:
                    self._path(number).write_bytes(b"")
                else:
                    self._path(number).unlink(missing_ok=True)
                self._sealed_bytes.pop(number, None)
            for number, path in self._files():
                if number < newest and number not in self._sealed_bytes:
                    path.unlink(missing_ok=True)

    def set_aside(self, number: int) -> Path:
        """Keep a copy of a segment that couldn't be read or written whole, for a person to look at."""
        aside = self.folder / "aside"
        aside.mkdir(exist_ok=True)
        kept = aside / self._path(number).name
        if not kept.exists():
            unfinished = kept.with_suffix(".tmp")
            unfinished.write_bytes(self._path(number).read_bytes())
            unfinished.replace(kept)
        return kept

    def take_back(self, put: Callable[[Segment], None]) -> int:
        """Try again to put what was set aside where it belongs; what is put there no longer lies aside.

        A damaged segment isn't tried: what could be read of it has been put where it belongs.

        Args:
            put: Takes a segment; raises where it can't.

        Returns:
            How many predictions were put there.
        """
        taken = 0
        for path in sorted((self.folder / "aside").glob("*.seg")):
            segment = self._read(int(path.stem), path)
            if segment.rows and not segment.damaged:
                with contextlib.suppress(*UNFIT):
                    put(segment)
                    path.unlink()
                    taken += segment.rows
        return taken

    @property
    def aside(self) -> int:
        """How many segments were set aside, by this process or another one, of this folder or those beside it."""
        return sum(1 for _ in self.folder.parent.glob("*/aside/*.seg"))

    def close(self) -> None:
        """Close the open segment and give the folder back."""
        self.seal()
        with self._lock:
            self._seal()
            if self._guard >= 0:
                os.close(self._guard)
            self._guard = -1
