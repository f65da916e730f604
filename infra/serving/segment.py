"""The segments of a spool: files of frames that survive a crash.

A segment is a magic word, then frames: the payload's length and CRC-32, both little-endian 32-bit numbers, then the
payload. The first frame names the columns of the others, and each of the others is one micro-batch.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

MAGIC = b"everfit1"
_FRAME = struct.Struct("<II")

Columns = Mapping[str, Sequence[Any]]
"""One micro-batch: for each column its values, all of the same length."""


@dataclass(frozen=True)
class Segment:
    """The readable part of a segment.

    Attributes:
        number: Its position in the spool, never used twice.
        types: Kind of each column.
        batches: Micro-batches in the order of writing.
        damaged: Bytes outside of whole frames, without a torn end.
    """

    number: int
    types: dict[str, str]
    batches: list[dict[str, list[Any]]]
    damaged: int = 0

    @property
    def rows(self) -> int:
        """Return the number of predictions."""
        return sum(batch_rows(batch) for batch in self.batches)


def batch_rows(batch: Columns) -> int:
    """Return the number of rows of a micro-batch."""
    return len(next(iter(batch.values()), ()))


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
    # Every payload is a JSON object with at least one column, so it begins with this mark.
    mark = content.find(b'{"', position + _FRAME.size)
    while mark >= 0:
        if _frame_end(content, mark - _FRAME.size) is not None:
            return mark - _FRAME.size
        mark = content.find(b'{"', mark + 1)
    return None


def read_segment(number: int, path: Path) -> Segment:
    """Read a segment without a torn end and damaged frames."""
    payloads, damaged = frames(path.read_bytes())
    if not payloads:
        return Segment(number, {}, [], damaged)
    types, *batches = [orjson.loads(payload) for payload in payloads]
    if not all(isinstance(kind, str) for kind in types.values()):
        # The first frame is damaged, and nothing says what the columns of the others are.
        return Segment(number, {}, [], damaged + sum(map(len, payloads)))
    return Segment(number, types, batches, damaged)
