"""The rows that a turn has read: staged, compared with the dataset, and counted by status."""

from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from everfit.blocks.joins import joined_columns
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.data.deduplication import CHANGED, CONFLICT, DUPLICATE, MatchedRows, deduplicator
from everfit.tasks.data.key_ranges import key_ranges
from everfit.tasks.data.quarantine import open_identities
from everfit.tasks.data.stager import PartRules, Stager
from everfit.tasks.data.staging import PART, Staging
from everfit.tasks.sources import Chunk
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.kinds import NAMES, Kind, plain
from everfit.tasks.storage.periods import Period, first_day
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, Table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds


class Batch(Record):
    """Rows that a turn has read, counted by status.

    Always `read == new + changed + duplicates`; some of the new and changed rows may be bad.
    """

    turn_id: str
    window: Window
    read: int
    new: int = Field(description="Rows whose key the dataset doesn't have.")
    changed: int = Field(description="Rows whose key is in the dataset with other content, such as a new label.")
    duplicates: int = Field(description="Rows that are in the dataset, in quarantine or earlier in the batch.")
    conflicts: int = Field(default=0, description="New or changed rows whose key the batch has with other content.")
    sizes: tuple[int, ...] = Field(default=(), description="Number of rows in each staged part.")
    dataset_version: int = Field(default=-1, description="Dataset version that they were compared with; -1 for none.")
    quarantine_version: int = Field(default=-1, description="Quarantine version that they were compared with.")
    from_quarantine: bool = Field(
        default=False, description="Whether these are rows of the quarantine that are checked again."
    )
    kinds: dict[str, Kind] = Field(default_factory=dict, description="Kind of each column; see `storage.kinds`.")
    missing_columns: dict[str, str] = Field(default_factory=dict, description="Missing columns with their types.")
    notes: tuple[str, ...] = Field(default=(), description="Remarks on the source for people.")
    round: int = Field(default=0, description="Number of times that functions of the user have changed the rows.")
    changed_by: tuple[str, ...] = Field(default=(), description="Names of these functions.")

    @property
    def fresh(self) -> int:
        """Return the number of rows to check."""
        return self.new + self.changed


def stage(
    spec: ModelSpec,
    window: Window,
    staging: Staging,
    version: int,
    chunks: Iterable[Chunk],
    *,
    aside: bool = True,
    texts: Collection[str] = (),
    joined: bool = True,
    spread: Spread = in_turn,
) -> tuple[Batch, set[str]]:
    """Stage chunks, and determine the status of their rows.

    Args:
        spec: Spec of the model.
        window: Span of event time that was requested.
        staging: Staging files of the turn.
        version: Dataset version to compare the rows with; -1 for none.
        chunks: The rows.
        aside: Whether rows in quarantine count as duplicates.
        texts: Columns of CSV that are text, whatever they look like in a file.
        joined: Whether the rows have the columns that joins add.
        spread: Where the chunks are brought to their kinds and staged.

    Returns:
        The staged batch, and the columns whose values were rewritten as text.
    """
    dataset = staging.workspace.table(spec.name, "dataset")
    known = read_kinds(staging.workspace, spec.name) if version >= 0 else {}
    if not joined:
        known = {name: kind for name, kind in known.items() if name not in joined_columns(spec.joins)}
    rules = PartRules(
        staging,
        spec.joined_columns if joined else spec.own_columns,
        known,
        _identity(dataset) if version >= 0 and not spec.columns.key else None,
        window.until,
        is_classification=spec.task != "regression",
        texts=texts,
        deleted=read_deleted_keys(staging.workspace, spec.name),
    )
    stager = Stager(rules)
    stager.stage(chunks, spread)
    sizes = tuple(stager.sizes)
    quarantine_version = newest_version(staging.workspace.table(spec.name, "quarantine"))
    matched = match_rows(spec, staging, sizes, version, aside=aside)
    staging.write_matched(matched)
    batch = counted(
        Batch(
            turn_id=staging.turn_id,
            window=window,
            read=sum(sizes),
            new=0,
            changed=0,
            duplicates=0,
            sizes=sizes,
            dataset_version=version,
            quarantine_version=quarantine_version,
            from_quarantine=not aside,
            kinds=stager.kinds,
            missing_columns={name: NAMES[plain(known.get(name, "text"))] for name in sorted(stager.missing)},
            notes=tuple(_notes(stager)),
        ),
        matched,
    )
    return batch, stager.rewritten


def newest_version(table: Table) -> int:
    """Return the newest version of a table, or -1 if it doesn't exist."""
    return table.version() if table.exists() else -1


def counted(batch: Batch, matched: MatchedRows) -> Batch:
    """Return the batch with its rows counted by status; a conflicting row counts as new."""
    changed, duplicates = (int((matched.status == status).sum()) for status in (CHANGED, DUPLICATE))
    return batch.model_copy(
        update={
            "new": batch.read - changed - duplicates,
            "changed": changed,
            "duplicates": duplicates,
            "conflicts": int((matched.status == CONFLICT).sum()),
        }
    )


def _notes(stager: Stager) -> Iterator[str]:
    for name in sorted(stager.ignored):
        if stager.rules.known:
            yield f"new column {name!r} is ignored until columns.features names it"
        else:
            yield f"column {name!r} is empty, so it is ignored"
    if stager.left_out:
        yield f"{stager.left_out:,} rows are left out, because the deletion of their key was requested"
    for name, origin in sorted(stager.missing.items()):
        yield f"column {name!r} is missing from {origin}"


def _identity(dataset: Table) -> list[str]:
    """Return the columns that identify rows without a key: those of the first batch, for all batches."""
    return [name for name in dataset.columns(version=0) if not name.startswith("_")]


def match_rows(
    spec: ModelSpec, staging: Staging, sizes: tuple[int, ...], version: int, *, aside: bool = True
) -> MatchedRows:
    """Compare the staged rows with the dataset at a version and with the quarantine."""
    dataset = staging.workspace.table(spec.name, "dataset")
    with deduplicator(sum(sizes)) as matcher:
        days: list[int] = []
        for number in range(len(sizes)):
            part = staging.read_part(number, [KEY, CONTENT, DAY, PART])
            matcher.stage(_ints(part, KEY), _ints(part, CONTENT), part[PART].to_numpy())
            day = _days(part)
            days += [int(day.min()), int(day.max())] if len(day) else []
        if version >= 0 and days:
            ranges = key_ranges(staging, len(sizes), spec.columns.key)
            for rows in dataset.arrow_batches(
                [KEY, CONTENT, DAY], _known(spec, days, dataset.period(version)), version, ranges
            ):
                matcher.add_existing(_ints(rows, KEY), _ints(rows, CONTENT), _days(rows))
        for keys, contents, refused in open_identities(spec.name, staging.workspace) if aside else ():
            matcher.add_quarantined(keys, contents, refused)
        return matcher.match()


def _known(spec: ModelSpec, days: list[int], period: Period) -> "pds.Expression | None":
    """Return a filter on the partitions of a time key that the batch has, or None without a time in the key."""
    import pyarrow.dataset as pds

    key, event_time = spec.columns.key, spec.columns.event_time
    if event_time is None or (key and event_time not in key):
        return None
    first, last = (date(1970, 1, 1) + timedelta(days=day) for day in (min(days), max(days)))
    return (pds.field(DAY) >= first_day(first, period)) & (pds.field(DAY) <= last)


def _ints(rows: "pa.Table | pa.RecordBatch", name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=np.int64)


def _days(rows: "pa.Table | pa.RecordBatch") -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    import pyarrow as pa

    return np.asarray(rows[DAY].cast(pa.int32()).to_numpy(zero_copy_only=False), dtype=np.int32)
