"""The segments of a spool: files of frames that survive a crash.

A segment is a magic word, then frames: the payload's length and CRC-32, both little-endian 32-bit numbers, then the
payload. The first frame names the segment and the columns of the other frames. Each of the others is one micro-batch.

The name is part of the content: the random epoch of the process that wrote the segment, and the segment's number in it.
So a copy of a segment, in whatever folder, has the name of the original, and no other segment has it.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"everfit2"
_UNNAMED_MAGIC = b"everfit1"
"""Segments of everfit 0.2 and before: the first frame has the columns only."""
_FRAME = struct.Struct("<II")

Columns = Mapping[str, Sequence[Any]]
"""One micro-batch: for each column its values, all of the same length."""


@dataclass(frozen=True)
class Segment:
    """The readable part of a segment.

    Attributes:
        number: Number of its file in the spool's folder; only its name says which segment it is.
        types: Kind of each column.
        payloads: Micro-batches in the order of writing, as they are on the disk.
        damaged: Bytes outside of whole frames, without a torn end.
        epoch: Random id of the process that wrote it; empty for a segment of everfit 0.2 and before, or if the first
            frame is damaged.
        sequence: Its number in the epoch, from 1.
        columns: The values of all micro-batches, if they were taken apart; there are no payloads then.
    """

    number: int
    types: dict[str, str]
    payloads: Sequence[bytes]
    damaged: int = 0
    epoch: str = ""
    sequence: int = 0
    columns: "pa.Table | None" = None

    @property
    def batches(self) -> Iterator[dict[str, list[Any]]]:
        """Yield the micro-batches one at a time: read into objects, they take many times as much memory."""
        return (orjson.loads(payload) for payload in self.payloads)

    @property
    def rows(self) -> int:
        """Return the number of predictions."""
        return sum(batch_rows(batch) for batch in self.batches)


def batch_rows(batch: Columns) -> int:
    """Return the number of rows of a micro-batch."""
    return len(next(iter(batch.values()), ()))


def first_frame(epoch: str, sequence: int, types: Mapping[str, str]) -> bytes:
    """Return the beginning of a segment: its name and its columns."""
    return MAGIC + frame(orjson.dumps({"epoch": epoch, "sequence": sequence, "columns": dict(types)}))


def frame(payload: bytes) -> bytes:
    """Return a payload as a frame."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def frames(content: bytes) -> tuple[list[bytes], int]:
    """Split the content of a segment into its payloads.

    A torn end is ignored, because its `append` never returned. Any other incomplete frame is damage; the whole frames
    behind it are still found.

    Returns:
        The payloads, and the number of damaged bytes.
    """
    if not content.startswith((MAGIC, _UNNAMED_MAGIC)):
        return [], len(content) if len(content) >= len(MAGIC) else 0
    position, damaged, payloads = len(MAGIC), 0, []
    while position + _FRAME.size <= len(content):
        end = _frame_end(content, position)
        if end is not None:
            payloads.append(content[position + _FRAME.size : end])
            position = end
            continue
        following = _next_frame(content, position + 1)
        if following is None:
            cut_off = position + _FRAME.size + _FRAME.unpack_from(content, position)[0] > len(content)
            return payloads, damaged + (0 if cut_off else len(content) - position)
        damaged, position = damaged + following - position, following
    return payloads, damaged


def _frame_end(content: bytes, position: int) -> int | None:
    length, checksum = _FRAME.unpack_from(content, position)
    start = position + _FRAME.size
    whole = start + length <= len(content) and zlib.crc32(memoryview(content)[start : start + length]) == checksum
    return start + length if whole and length else None


def _next_frame(content: bytes, position: int) -> int | None:
    # Every payload is a JSON object with at least one column, so it begins with this mark.
    mark = content.find(b'{"', position + _FRAME.size)
    while mark >= 0:
        if _frame_end(content, mark - _FRAME.size) is not None:
            return mark - _FRAME.size
        mark = content.find(b'{"', mark + 1)
    return None


def read_name(path: Path) -> tuple[str, int]:
    """Return a segment's epoch and its number in it, from its first frame alone; an empty epoch without a name."""
    with path.open("rb") as stream:
        head = stream.read(len(MAGIC) + _FRAME.size)
        if len(head) < len(MAGIC) + _FRAME.size or not head.startswith(MAGIC):
            return "", 0
        length, checksum = _FRAME.unpack_from(head, len(MAGIC))
        payload = stream.read(length) if length <= path.stat().st_size else b""
    if zlib.crc32(payload) != checksum:
        return "", 0
    first = orjson.loads(payload)
    return (first["epoch"], first["sequence"]) if _is_name(first) else ("", 0)


def read_segment(number: int, path: Path) -> Segment:
    """Read a segment without a torn end and damaged frames."""
    content = path.read_bytes()
    payloads, damaged = frames(content)
    if not payloads:
        return Segment(number, {}, [], damaged)
    first, batches = orjson.loads(payloads[0]), payloads[1:]
    if content.startswith(_UNNAMED_MAGIC):
        first = {"epoch": "", "sequence": 0, "columns": first}
    if not _is_name(first):
        # The first frame is damaged, and nothing says what the columns of the others are.
        return Segment(number, {}, [], damaged + sum(map(len, payloads)))
    return Segment(number, first["columns"], batches, damaged, first["epoch"], first["sequence"])


def _is_name(first: Mapping[str, Any]) -> bool:
    columns = first.get("columns")
    return (
        isinstance(first.get("epoch"), str)
        and isinstance(first.get("sequence"), int)
        and isinstance(columns, dict)
        and all(isinstance(kind, str) for kind in columns.values())
    )
