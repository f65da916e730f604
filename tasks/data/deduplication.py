"""Find the rows of a batch that are new, changed, duplicates or conflicting.

Only hashes of keys and contents are compared, one share of the keys at a time from disk, so memory stays flat for any
number of rows.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

NEW, CHANGED, DUPLICATE, CONFLICT = 0, 1, 2, 3
"""Status of a batch's row.

NEW: its key isn't in the dataset. CHANGED: its key is there with other content. DUPLICATE: the same content is in the
dataset, in quarantine or earlier in the batch. CONFLICT: the batch has two contents for its key.
"""

_DATASET, _QUARANTINED, _REFUSED = -1, -2, -3
_RECORD = np.dtype([("key", "i8"), ("content", "i8"), ("position", "i8"), ("part", "i4"), ("day", "i4")])
_ROWS_PER_SHARE = 1_000_000
_MOST_SHARES = 256

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


@dataclass(frozen=True)
class MatchedRows:
    """Status of every staged row, in the order of staging.

    Attributes:
        status: `NEW`, `CHANGED`, `DUPLICATE` or `CONFLICT`; shape (rows,).
        old_day: For a changed row the day of the row that it replaces, in days since 1970; shape (rows,).
        in_quarantine: Whether the quarantine has an open row with its key and another content, or the row itself from a
            refused batch; shape (rows,).
    """

    status: npt.NDArray[np.uint8]
    old_day: npt.NDArray[np.int32]
    in_quarantine: npt.NDArray[np.bool_]


class Deduplicator:
    """Collects hashes of staged rows and of existing rows, and compares them.

    Args:
        folder: Folder for the hashes.
        rows: Approximate number of staged rows.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._shares = int(np.clip(rows // _ROWS_PER_SHARE, 1, _MOST_SHARES))
        self._paths = [folder / f"{share}.bin" for share in range(self._shares)]
        self._staged = 0

    def stage(self, keys: Ints, contents: Ints, parts: npt.NDArray[np.int32]) -> None:
        """Add rows of the batch in order; `parts` holds the number of each row's file."""
        positions = np.arange(self._staged, self._staged + len(keys))
        self._staged += len(keys)
        self._write(keys, contents, positions, parts, np.zeros(len(keys), dtype=np.int32))

    def add_existing(self, keys: Ints, contents: Ints, days: npt.NDArray[np.int32]) -> None:
        """Add rows of the dataset, each with its day in days since 1970."""
        self._write(keys, contents, np.full(len(keys), _DATASET), np.zeros(len(keys), dtype=np.int32), days)

    def add_quarantined(self, keys: Ints, contents: Ints, refused: npt.NDArray[np.bool_]) -> None:
        """Add open rows of the quarantine; `refused` marks rows that are there only because their batch was refused."""
        positions = np.where(refused, _REFUSED, _QUARANTINED)
        nothing = np.zeros(len(keys), dtype=np.int32)
        self._write(keys, contents, positions, nothing, nothing)

    def _write(
        self,
        keys: Ints,
        contents: Ints,
        positions: Ints,
        parts: npt.NDArray[np.int32],
        days: npt.NDArray[np.int32],
    ) -> None:
        records = np.empty(len(keys), dtype=_RECORD)
        for name, values in zip(_RECORD.names or (), (keys, contents, positions, parts, days), strict=True):
            records[name] = values
        shares = (keys.astype(np.uint64) % np.uint64(self._shares)).astype(np.int64)
        order = np.argsort(shares, kind="stable")
        bounds = np.searchsorted(shares[order], np.arange(self._shares + 1))
        for share, path in enumerate(self._paths):
            mine = order[bounds[share] : bounds[share + 1]]
            if len(mine):
                with path.open("ab") as stream:
                    records[mine].tofile(stream)

    def match(self) -> MatchedRows:
        """Return the status of every staged row."""
        status = np.full(self._staged, NEW, dtype=np.uint8)
        old_day = np.zeros(self._staged, dtype=np.int32)
        in_quarantine = np.zeros(self._staged, dtype=np.bool_)
        for path in self._paths:
            if path.exists():
                records = np.fromfile(path, dtype=_RECORD)
                staged = records[records["position"] >= 0]
                at = staged["position"]
                status[at], old_day[at], in_quarantine[at] = _compared(staged, records)
        return MatchedRows(status, old_day, in_quarantine)


@contextmanager
def deduplicator(rows: int) -> Iterator[Deduplicator]:
    """Yield a deduplicator, and delete its files afterwards."""
    with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
        yield Deduplicator(Path(folder), rows)


def _pairs(records: Records) -> npt.NDArray[np.uint64]:
    """Combine key and content into one number."""
    keys, contents = records["key"].astype(np.uint64), records["content"].astype(np.uint64)
    mixed = keys * np.uint64(0x9E3779B97F4A7C15) + (contents ^ (contents >> np.uint64(31)))
    return np.asarray(mixed * np.uint64(0xBF58476D1CE4E5B9), dtype=np.uint64)


def _compared(
    staged: Records, records: Records
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    dataset = records[records["position"] == _DATASET]
    quarantined = records[records["position"] == _QUARANTINED]
    refused = records[records["position"] == _REFUSED]
    older, conflict = _within_batch(staged)
    known_key, old_day = _known_keys(staged["key"], dataset)
    pairs = _pairs(staged)
    known = np.isin(pairs, _pairs(dataset)) | np.isin(pairs, _pairs(quarantined))
    status = np.where(known_key, CHANGED, NEW).astype(np.uint8)
    status[conflict] = CONFLICT
    status[older | known] = DUPLICATE
    open_keys = np.concatenate([quarantined["key"], refused["key"]])
    return status, old_day, np.isin(staged["key"], open_keys) & (status != DUPLICATE)


def _within_batch(staged: Records) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which rows a later row of the batch replaces, and which conflict with a row of the same file."""
    older, conflict = np.zeros(len(staged), dtype=np.bool_), np.zeros(len(staged), dtype=np.bool_)
    met_again = _repeated(staged["key"])
    if not len(met_again):
        return older, conflict
    # Of equal rows, keep the first one of the latest file.
    some = staged[met_again]
    order = np.lexsort((some["position"], -some["part"], some["content"], some["key"]))
    ordered, order = some[order], met_again[order]
    same = (ordered["key"][1:] == ordered["key"][:-1]) & (ordered["content"][1:] == ordered["content"][:-1])
    repeated = np.concatenate([[False], same])
    older[order[repeated]] = True
    order, ordered = order[~repeated], ordered[~repeated]
    starts = np.flatnonzero(np.concatenate([[True], ordered["key"][1:] != ordered["key"][:-1]]))
    sizes = np.diff(np.append(starts, len(ordered)))
    newest = np.repeat(np.maximum.reduceat(ordered["part"], starts), sizes) == ordered["part"]
    alone = np.repeat(np.add.reduceat(newest.astype(np.int64), starts), sizes) == 1
    older[order[~newest]] = True
    conflict[order[newest & ~alone]] = True
    return older, conflict


def _repeated(keys: Ints) -> Ints:
    """Return the positions of keys that occur more than once; usually there are none, as one sort shows."""
    ordered = np.sort(keys)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.flatnonzero(np.isin(keys, again)) if len(again) else np.empty(0, dtype=np.int64)


def _known_keys(keys: Ints, dataset: Records) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    """Return which keys are in the dataset, and the day of each one's row."""
    if not len(dataset):
        return np.zeros(len(keys), dtype=np.bool_), np.zeros(len(keys), dtype=np.int32)
    ordered = dataset[np.argsort(dataset["key"], kind="stable")]
    at = np.minimum(np.searchsorted(ordered["key"], keys), len(ordered) - 1)
    return ordered["key"][at] == keys, ordered["day"][at].astype(np.int32)
