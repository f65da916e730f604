"""Read the sources that a model joins, and add to rows what was known at their events."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.joins import Join, joined_columns
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ColumnRoles, ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.data.as_of import AS_OF, AsOfRows, row_versions
from everfit.tasks.data.join_files import temporary_folder
from everfit.tasks.predictions.prediction_log import JOINED
from everfit.tasks.sources import FAULTS, read_source
from everfit.tasks.storage.kinds import Kind, is_read_as_text


@dataclass
class Joiner:
    """Adds the joined columns to rows.

    Attributes:
        event_time: Column of the event time.
        sources: The rows of each joined source.
        rows: Number of rows so far.
        without: Number of rows so far for which a join found nothing, by the join's name.
    """

    event_time: str
    sources: Sequence[AsOfRows]
    rows: int = 0
    without: Counter[str] = field(default_factory=Counter)

    def join(self, rows: pd.DataFrame, *, versions: bool = False) -> pd.DataFrame:
        """Return rows with the joined columns, and in `_faults` what is wrong with the joined values.

        Args:
            rows: Shape (rows, columns), indexed from 0, with event times in UTC.
            versions: Whether to add `_joined` with the version of each joined row.

        Raises:
            SourceError: If a column to join on is missing, or a joined column is there already.
        """
        columns: dict[str, pd.Series] = {}
        texts = pd.Series("", index=rows.index, dtype=object)
        faults = rows[FAULTS].fillna("") if FAULTS in rows.columns else pd.Series("", index=rows.index)
        for source in self.sources:
            _check(source.join, rows)
            found = source.joined(rows, self.event_time)
            label, missing = source.join.label, found[AS_OF].isna()
            self.without[label] += int(missing.sum())
            columns |= {name: found[name] for name in source.join.columns}
            faults = faults + found[FAULTS].fillna("").astype("str")
            if versions:
                version = f"{label}: " + row_versions(found, source.join.columns)
                texts += version.mask(missing, f"{label}: none") + "; "
        self.rows += len(rows)
        added = {**columns, **({JOINED: texts.str.removesuffix("; ").astype("str")} if versions else {})}
        if FAULTS in rows.columns or (faults != "").any():
            added[FAULTS] = faults.astype("str")
        return rows.assign(**added)

    def notes(self) -> Iterator[str]:
        """Yield remarks on the joins for people."""
        for source in self.sources:
            join, without = source.join, self.without[source.join.label]
            span = "" if join.within is None else f" within {format_duration(join.within)}"
            yield f"join {join.label}: {self.rows - without:,} of {self.rows:,} rows have a joined row{span}"
            for reason, count in sorted(source.skipped.items()):
                yield f"join {join.label}: {count:,} rows of its source {reason} are passed over"
            if source.contradictions:
                yield (
                    f"join {join.label}: {source.contradictions:,} rows of its source have the key and times of "
                    "another row and other values; the one that is read last counts"
                )


@contextmanager
def opened_joins(
    spec: ModelSpec, first: datetime | None, last: datetime, kinds: Mapping[str, Kind]
) -> Iterator[Joiner]:
    """Read the joined sources for events of a span.

    Args:
        spec: Spec of the model.
        first: The first event; None for all before the last.
        last: The last event.
        kinds: Kinds of the model's columns.

    Raises:
        SourceError: If a source can't be read or lacks a column.
    """
    event_time = spec.columns.event_time
    assert event_time is not None  # noqa: S101 - the spec refuses joins without it
    with temporary_folder() as folder:
        sources = []
        for number, join in enumerate(spec.joins):
            own = Path(folder) / str(number)
            own.mkdir()
            sources.append(read_join(join, first, last, kinds, own))
        yield Joiner(event_time, sources)


def read_join(join: Join, first: datetime | None, last: datetime, kinds: Mapping[str, Kind], folder: Path) -> AsOfRows:
    """Read the rows of a joined source that events of a span can see.

    Args:
        join: The join.
        first: The first event; None for all before the last.
        last: The last event.
        kinds: Kinds of the model's columns, to which the values of the key are brought.
        folder: Folder for rows that don't fit in memory.

    Raises:
        SourceError: If the source can't be read or lacks a column.
    """
    since = None if first is None or join.within is None else first - join.within
    until = last + timedelta(microseconds=1)
    of_key: dict[str, Kind] = {name: kinds.get(name, "text") for name in join.on}
    texts = {join.on[name] for name, kind in of_key.items() if is_read_as_text(kind)}
    while True:
        rows = AsOfRows(join, of_key, folder)
        try:
            for chunk in read_source(join.source, _roles(join), Window(since=since, until=until), texts=texts):
                frame = chunk.frame
                if join.available_at is not None:  # nobody in this span can see the others
                    later = frame[join.available_at] >= until
                    frame = frame[~later].reset_index(drop=True) if later.any() else frame
                rows.add(frame)
        except SourceError as error:
            raise SourceError(f"join {join.label!r}: {error}") from error
        rewritten = rows.finish()
        if rewritten <= texts:
            return rows
        # Some pieces alone look like numbers or times. Read them again as the text that they are.
        texts |= rewritten


def lacks_joined(rows: pd.DataFrame, joins: Sequence[Join]) -> bool:
    """Return whether rows lack a column that joins add."""
    return not set(joined_columns(joins)) <= set(rows.columns)


def _roles(join: Join) -> ColumnRoles:
    """Return the roles of a joined source's columns, as reading takes them."""
    key = tuple(join.on.values())
    known = join.available_at if join.available_at != join.as_of else None
    return ColumnRoles.model_construct(
        key=key, event_time=join.as_of, label_time=known, target=join.columns[0], features=join.columns
    )


def _check(join: Join, rows: pd.DataFrame) -> None:
    if missing := [name for name in join.on if name not in rows.columns]:
        shown = ", ".join(repr(name) for name in rows.columns if not name.startswith("_"))
        raise SourceError(
            f"join {join.label!r}: the rows of the model's source have no column {missing[0]!r} to join on; they have "
            f"{shown}. Correct `on`, or add the column"
        )
    if both := [name for name in join.columns if name in rows.columns]:
        raise SourceError(
            f"join {join.label!r}: the rows of the model's source have a column {both[0]!r} too; rename it in one of "
            "the sources, or remove it from the join's columns"
        )
