"""Join rows of another source as of the event: the last row that was known then, and never a later one.

A row can be seen from `as_of` on, or from `available_at` on if that is later. Among the rows that can be seen at an
event, that with the latest `as_of` counts. pandas' `merge_asof` finds the last row by `as_of`. Where it can't be seen
yet, the rows of its key are followed back in time to the first one that can.

Large sources are divided by their keys into files, so memory holds a part of them at a time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.joins import Join
from everfit.tasks.data.join_files import store_rows, stored_rows
from everfit.tasks.storage.kinds import REWRITTEN, Kind, common_kind, infer_kind
from everfit.tasks.storage.row_hashes import row_hashes
from everfit.tasks.storage.values import FAULTS, normalise, to_kind

BY, AS_OF, SEEN, _EARLIER = "_by", "_as_of", "_seen", "_earlier"
"""Columns of rows to join: hash of the key, the time from which a row holds, and that from which it can be seen; place
of the row of the same key before it, or -1. Without `available_at`, rows have only the first two."""

HELD_VALUES = 100_000_000
"""More values than these, about 1 GB, are kept in files."""

PARTS = 16

Integers = npt.NDArray[np.int64]


def key_hashes(rows: pd.DataFrame, names: Mapping[str, str], kinds: Mapping[str, Kind]) -> tuple[Integers, pd.Series]:
    """Return a hash of each row's key, and which rows have a complete key; both of shape (rows,).

    Args:
        rows: The rows.
        names: The key's names by the columns of `rows`.
        kinds: Kind of each part of the key by name, to which the values are brought.
    """
    key = {name: to_kind(rows[column], kinds[name])[0] for column, name in names.items()}
    brought = pd.DataFrame(key).reset_index(drop=True)
    return row_hashes(brought, list(names.values())), brought.notna().all(axis=1)


@dataclass
class AsOfRows:
    """Rows of a joined source, from which rows are joined by key and time.

    Attributes:
        join: The join.
        kinds: Kinds of the key's parts, by the columns of the rows to join to, to which all values are brought.
        folder: Folder for files of rows that don't fit in memory.
        kinds_of_values: Kind of each joined column; known after `finish`.
        skipped: Number of rows that can't be joined, by the reason.
        contradictions: Number of rows that have the key and the times of another row, and other values.
    """

    join: Join
    kinds: Mapping[str, Kind]
    folder: Path
    kinds_of_values: dict[str, Kind] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    contradictions: int = 0

    def __post_init__(self) -> None:
        self._held: list[pd.DataFrame] = []
        self._inferred: list[dict[str, Kind]] = []
        self._files: list[list[Path]] = []
        self._parts: list[pd.DataFrame | Path] = []

    @property
    def _times(self) -> list[str]:
        return [AS_OF] if self.join.available_at is None else [AS_OF, SEEN]

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows of the joined source, whose times are in UTC.

        Args:
            rows: Shape (rows, columns), indexed from 0; of rows with the same key and times the last one counts.
        """
        join = self.join
        keys, complete = key_hashes(rows, {theirs: ours for ours, theirs in join.on.items()}, self.kinds)
        usable = complete & rows[join.as_of].notna()
        self._skip(f"without {join.as_of} or key", ~usable)
        if join.available_at is not None:
            available = rows[join.available_at].notna()
            self._skip(f"without {join.available_at}", usable & ~available)
            usable &= available
        kinds = {name: infer_kind(rows[name], is_key=False, is_label=False) for name in join.columns}
        self._inferred.append(kinds)
        frame = _without_empty_faults(normalise(rows[list(join.columns)], kinds))
        frame[BY], frame[AS_OF] = keys, rows[join.as_of]
        if join.available_at is not None:
            frame[SEEN] = rows[join.available_at].where(rows[join.available_at] > rows[join.as_of], rows[join.as_of])
        self._held.append(frame if usable.all() else frame[usable.to_numpy()].reset_index(drop=True))
        if sum(frame.size for frame in self._held) > HELD_VALUES:
            self._spill()

    def _skip(self, reason: str, rows: "pd.Series[bool]") -> None:
        if count := int(rows.sum()):
            self.skipped[reason] += count

    def _spill(self) -> None:
        self._files = self._files or [[] for _ in range(PARTS)]
        for frame in _of_equal_types(self._held):
            parts = _part_of(frame)
            order = np.argsort(parts, kind="stable")
            ends = np.cumsum(np.bincount(parts, minlength=PARTS))
            for number, places in enumerate(np.split(order, ends[:-1])):
                if len(places):
                    path = self.folder / f"{number}-{len(self._files[number])}.arrow"
                    store_rows(path, frame.iloc[places])
                    self._files[number].append(path)
        self._held = []

    def finish(self) -> set[str]:
        """Bring the rows into the order of their times, after the last `add`.

        Returns:
            The columns that are text as a whole, and whose values some pieces took for something else.
        """
        for name in self.join.columns:
            self.kinds_of_values[name] = common_kind([kinds[name] for kinds in self._inferred])
        if self._files:
            self._spill()
            for number, files in enumerate(self._files):
                path = self.folder / f"{number}.arrow"
                store_rows(path, self._in_order([stored_rows(file) for file in files]))
                for file in files:
                    file.unlink()
                self._parts.append(path)
        else:
            held, self._held = self._held, []
            self._parts = [self._in_order(held)]
        return {
            name
            for name, kind in self.kinds_of_values.items()
            if kind == "text" and REWRITTEN.intersection(kinds[name] for kinds in self._inferred)
        }

    def _in_order(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        """Return rows by the time from which they hold, then by that from which they can be seen."""
        own = [BY, *self._times]
        brought = [self._brought(frame, own) for frame in _of_equal_types(frames or [self._nothing()])]
        rows = pd.concat(brought, ignore_index=True) if len(brought) > 1 else brought[0]
        rows = _in_order_of([_micros(rows[name]) for name in self._times], rows)
        self._count_contradictions(rows[_shared(_micros(rows[AS_OF]))], own)
        if self.join.available_at is not None:
            places = pd.Series(np.arange(len(rows)))
            rows[_EARLIER] = places.groupby(rows[BY].to_numpy(), sort=False).shift(1, fill_value=-1)
        return rows

    def _brought(self, frame: pd.DataFrame, own: list[str]) -> pd.DataFrame:
        """Return rows whose values have the kinds of the whole source."""
        names = self.join.columns
        if {*names} <= {*frame.columns} and all(
            frame[name].dtype == "float64" and self.kinds_of_values[name] in {"whole", "decimal"} for name in names
        ):
            return frame  # numbers are numbers already
        brought = _without_empty_faults(normalise(frame, self.kinds_of_values))
        return pd.concat([brought, frame[own]], axis=1)

    def _count_contradictions(self, rows: pd.DataFrame, own: list[str]) -> None:
        """Count rows of the same key and times, of those that share their time with a neighbour."""
        again = rows[rows.duplicated(own, keep=False)]
        self.contradictions += int((~again.duplicated()).sum() - (~again.duplicated(own)).sum())

    def _nothing(self) -> pd.DataFrame:
        times = pd.Series([], dtype="datetime64[us, UTC]")
        return pd.DataFrame({BY: pd.Series([], dtype=np.int64), **dict.fromkeys(self._times, times)})

    def frames(self) -> Iterator[pd.DataFrame]:
        """Yield all rows by time, those of a key together in one frame."""
        for part in self._parts:
            yield stored_rows(part) if isinstance(part, Path) else part

    def joined(self, rows: pd.DataFrame, event_time: str) -> pd.DataFrame:
        """Return what was known of each row at its event.

        Args:
            rows: Rows with the key's columns and the event time in UTC; shape (rows, columns), indexed from 0.
            event_time: Column of the event time.

        Returns:
            The joined columns, `_as_of` with the time of the joined row, missing where there is none, and `_faults`
            with what is wrong with its values.
        """
        keys, complete = key_hashes(rows, {name: name for name in self.join.on}, self.kinds)
        events = pd.DataFrame({"_event": rows[event_time], BY: keys, "_row": np.arange(len(rows))})
        events = events[complete & events["_event"].notna()].sort_values("_event", kind="stable")
        parts, found = _part_of(events), []
        for number, known in enumerate(self.frames()):
            own = events if len(self._parts) == 1 else events[parts == number]
            if len(own) or number == len(self._parts) - 1:  # the last one gives the types if nothing is found
                found.append(self._merged(own, known))
        whole = with_faults(pd.concat(found) if len(found) > 1 else found[0])
        return whole.set_index("_row")[[*self.join.columns, AS_OF, FAULTS]].reindex(pd.RangeIndex(len(rows)))

    def _merged(self, events: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
        """Return events with the joined columns, missing where there is no row; shape (events, columns)."""
        times = known[[BY, AS_OF]].assign(_place=np.arange(len(known)))
        merged = pd.merge_asof(events, times, left_on="_event", right_on=AS_OF, by=BY)
        places = merged["_place"].fillna(-1).to_numpy(dtype=np.int64, copy=True)
        if self.join.available_at is not None:
            _follow_back(places, _micros(merged["_event"]), _micros(known[SEEN]), known[_EARLIER].to_numpy())
        names = [name for name in (*self.join.columns, AS_OF, FAULTS) if name in known.columns]
        found = known[names].reindex(places).reset_index(drop=True)
        if self.join.within is not None:
            old = found[AS_OF] < merged["_event"] - self.join.within
            found = without(found, old.to_numpy())
        return found.assign(_row=merged["_row"])


def _follow_back(places: Integers, events: Integers, seen: Integers, earlier: Integers) -> None:
    """Replace the places of rows that can't be seen at their events by those of the latest ones that can, or by -1.

    Args:
        places: Place of the latest row of each event, or -1; shape (events,).
        events: Times of the events; shape (events,).
        seen: The times from which the rows can be seen; shape (rows,).
        earlier: Place of the row of the same key before each row, or -1; shape (rows,).
    """
    open_events = np.flatnonzero(places >= 0)
    while len(open_events):
        open_events = open_events[seen[places[open_events]] > events[open_events]]
        places[open_events] = earlier[places[open_events]]
        open_events = open_events[places[open_events] >= 0]


def _shared(times: Integers) -> npt.NDArray[np.bool_]:
    """Return which of some sorted times equal a neighbour."""
    near, equal = np.zeros(len(times), dtype=np.bool_), times[1:] == times[:-1]
    near[1:] |= equal
    near[:-1] |= equal
    return near


def _in_order_of(times: list[Integers], rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows by the first times, and by the second ones where these are equal; rows that are in order stay.

    Most sources are in order of the first times. Then only the rows that share one are moved, in place.
    """
    first = times[0]
    if (first[1:] < first[:-1]).any():
        return rows.take(np.lexsort(times[::-1])).reset_index(drop=True)
    equal = np.flatnonzero(_shared(first))
    order = equal[np.lexsort([each[equal] for each in times[::-1]])]
    moved = order != equal
    for name in rows.columns if moved.any() else ():
        rows.loc[equal[moved], name] = rows[name].array.take(order[moved])
    return rows


def _micros(times: pd.Series) -> Integers:
    return np.asarray(times.dt.as_unit("us").astype("int64"), dtype=np.int64)


def _without_empty_faults(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows without the column of faults if it is empty: it would be carried through every sort and join."""
    return rows.drop(columns=FAULTS) if rows[FAULTS].isna().all() else rows


def with_faults(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the column of faults."""
    return rows if FAULTS in rows.columns else rows.assign(**{FAULTS: pd.Series(dtype="str").reindex(rows.index)})


def without(joined: pd.DataFrame, rows: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return joined columns in which some rows have found nothing; shape (rows, columns)."""
    return joined.assign(**{str(name): joined[name].mask(rows) for name in joined.columns}) if rows.any() else joined


def _part_of(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    return (rows[BY].to_numpy().view(np.uint64) % np.uint64(PARTS)).astype(np.int64)


def row_versions(joined: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    """Return the version of each joined row as text: its time and a hash of its content; empty where there is none.

    Args:
        joined: Joined columns and `_as_of`; shape (rows, columns).
        names: The joined columns.
    """
    found = joined[AS_OF].notna().to_numpy()
    rows = joined[found]
    hashes = row_hashes(rows.rename(columns={AS_OF: "as_of"}), [*names, "as_of"]).view(np.uint64)
    times = np.datetime_as_string(rows[AS_OF].dt.tz_convert(None).to_numpy(), unit="us", timezone="UTC")
    texts = np.full(len(joined), "", dtype=object)
    texts[found] = [f"{time} #{number:016x}" for time, number in zip(times.tolist(), hashes.tolist(), strict=True)]
    return pd.Series(texts, index=joined.index)


def _of_equal_types(frames: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Concatenate neighbours whose columns have the same types."""
    held: list[pd.DataFrame] = []
    for frame in frames:
        if held and not held[-1].dtypes.equals(frame.dtypes):
            yield pd.concat(held, ignore_index=True)
            held = []
        held.append(frame)
    if held:
        yield pd.concat(held, ignore_index=True)
