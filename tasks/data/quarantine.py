"""Keep rows that are too bad to learn from, with their reasons, until they are resolved."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.storage.table_reads import text_field
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN, Table
from everfit.tasks.storage.values import FAULTS
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

REASONS, BATCH_REASONS = "_reasons", "_batch_reasons"
"""Columns of the quarantine: the reasons against the row, and the reasons against its batch."""

ROW, SOURCE = "_row", "_source"
"""Columns of the quarantine: the row's content as JSON, and the origin of the row.

A value that couldn't be read is missing in the content, and `_faults` in it says so.
"""

RESOLUTION, RESOLVED_BY = "_resolution", "_resolved_by"
"""Columns of the quarantine: how the row was resolved (null while it is open), and by which turn or person."""

Resolution = Literal["accepted", "repeated", "released", "discarded"]
"""A later turn accepted the row's key or quarantined it again; or a person accepted or discarded the row."""


def to_quarantine(rows: "pa.Table", reasons: Sequence[str], batch_reasons: str, own: Sequence[str]) -> "pa.Table":
    """Convert staged rows to rows of the quarantine.

    Args:
        rows: Staged rows with everfit's own columns.
        reasons: Reasons against each row; shape (rows,).
        batch_reasons: Reasons against the batch; empty if it passed.
        own: Names of the columns that aren't part of the content.
    """
    import pyarrow as pa

    count = len(rows)
    content = rows.select([name for name in rows.column_names if name not in own or name == FAULTS])
    table = rows.select([KEY, CONTENT, DAY])
    columns = {
        TURN: rows[TURN].cast(pa.string()),
        SOURCE: rows[SOURCE].cast(pa.string()),
        REASONS: pa.array(list(reasons), pa.string()),
        BATCH_REASONS: pa.array([batch_reasons] * count, pa.string()),
        ROW: pa.array(_json(content), pa.string()),
        RESOLUTION: pa.nulls(count, pa.string()),
        RESOLVED_BY: pa.nulls(count, pa.string()),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _json(content: "pa.Table") -> list[str]:
    import orjson

    return [
        orjson.dumps(row if row.get(FAULTS) else _values(row), option=orjson.OPT_UTC_Z).decode()
        for batch in content.to_batches(max_chunksize=65_536)
        for row in batch.to_pylist()
    ]


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != FAULTS}


def open_identities(
    model: str, workspace: Workspace
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """Yield keys and contents of open and discarded rows, and which of them are there because of their batch.

    Args:
        model: Name of the model.
        workspace: Workspace of the quarantine.
    """
    import pyarrow.compute as pc
    import pyarrow.dataset as pds

    table = workspace.table(model, "quarantine")
    if not table.exists():
        return
    kept = pds.field(RESOLUTION).is_null() | (text_field(RESOLUTION) == "discarded")
    for rows in table.arrow_batches([KEY, CONTENT, BATCH_REASONS, RESOLUTION], kept):
        refused = pc.and_(pc.not_equal(rows[BATCH_REASONS], ""), pc.is_null(rows[RESOLUTION]))
        yield tuple(  # type: ignore[misc]
            np.asarray(column.to_numpy(zero_copy_only=False)) for column in (rows[KEY], rows[CONTENT], refused)
        )


def resolve_rows(  # noqa: PLR0917
    quarantine: Table,
    keys: npt.NDArray[np.int64],
    resolutions: Sequence[Resolution],
    by: str,
    transaction: str,
    turns: Sequence[str] | None = None,
) -> int:
    """Mark the open rows of these keys as resolved, once.

    Args:
        quarantine: The table.
        keys: Key hashes; shape (rows,).
        resolutions: Resolution of each key; shape (rows,).
        by: Turn or person that resolves them; rows that this turn has quarantined stay open.
        transaction: Unique name of this change.
        turns: Resolve only rows that these turns have quarantined; by default all.

    Returns:
        Number of resolved rows.
    """
    import pyarrow as pa

    if not len(keys) or not quarantine.exists():
        return 0
    if quarantine.written(transaction):
        quarantine.sync_found(transaction)
        return 0
    resolved = pa.table(
        {
            KEY: pa.array(keys, pa.int64()),
            RESOLUTION: pa.array(list(resolutions), pa.string()),
            RESOLVED_BY: pa.array([by] * len(keys), pa.string()),
        }
    )
    resolved = resolved.group_by(KEY).aggregate([(RESOLUTION, "min"), (RESOLVED_BY, "min")])
    resolved = resolved.rename_columns([KEY, RESOLUTION, RESOLVED_BY])
    condition = f"old.{KEY} = new.{KEY} AND old.{RESOLUTION} IS NULL AND old.{TURN} <> {_quoted(by)}"
    if turns is not None:
        condition += f" AND old.{TURN} IN ({', '.join(map(_quoted, turns))})"
    metrics: dict[str, Any] = quarantine.update_matched(resolved, condition, [RESOLUTION, RESOLVED_BY], transaction)
    return int(metrics.get("num_target_rows_updated", 0))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class QuarantineGroup(Record):
    """Open rows of the quarantine that share a reason."""

    reason: str
    rows: int
    turns: tuple[str, ...] = Field(description="Turns that quarantined them.")
    batch_refused: bool = Field(description="Whether the rows are good, and only their batch was refused.")
    samples: tuple[str, ...] = Field(description="Contents of some rows, as JSON.")


def quarantine_groups(
    model: str, workspace: Workspace, samples: int = 3, reason: str = "", turn_id: str | None = None
) -> list[QuarantineGroup]:
    """Group the open rows of a model's quarantine by reason, the largest group first.

    Args:
        model: Name of the model.
        workspace: Workspace of the quarantine.
        samples: Number of rows to show per group.
        reason: Filter, as in `open_rows`.
        turn_id: Filter, as in `open_rows`.
    """
    table = workspace.table(model, "quarantine")
    groups: dict[str, QuarantineGroup] = {}
    for frame in _open_rows(table, [REASONS, BATCH_REASONS, TURN, ROW], reason, turn_id) if table.exists() else ():
        for reasons, rows in frame.groupby(_reasons(frame)):
            group = groups.get(str(reasons))
            groups[str(reasons)] = QuarantineGroup(
                reason=str(reasons),
                rows=len(rows) + (group.rows if group else 0),
                turns=tuple(sorted({*rows[TURN], *(group.turns if group else ())})),
                batch_refused=bool((rows[BATCH_REASONS] != "").all()) and (group is None or group.batch_refused),
                samples=(*(group.samples if group else ()), *map(_sample, rows[ROW].iloc[:samples]))[:samples],
            )
    return sorted(groups.values(), key=lambda group: (-group.rows, group.reason))


def _sample(content: str) -> str:
    """Return the content of a row without what is wrong with it, which is its group's reason."""
    import orjson

    return orjson.dumps(_values(orjson.loads(content))).decode()


def open_rows(table: Table, reason: str = "", turn_id: str | None = None) -> pd.DataFrame:
    """Return the open rows of the quarantine.

    Args:
        table: The quarantine.
        reason: Only rows whose reasons contain this text; a row without its own reasons has its batch's.
        turn_id: Only rows that this turn has quarantined.
    """
    chunks = list(_open_rows(table, None, reason, turn_id)) if table.exists() else []
    return pd.concat(chunks).sort_values(KEY, kind="stable", ignore_index=True) if chunks else pd.DataFrame()


def _open_rows(table: Table, columns: list[str] | None, reason: str, turn_id: str | None) -> Iterator[pd.DataFrame]:
    """Yield open rows in chunks, because a refused batch may be larger than memory."""
    import pyarrow.dataset as pds

    lies_open = pds.field(RESOLUTION).is_null()
    if turn_id is not None:
        lies_open &= text_field(TURN) == turn_id
    for frame in table.batches(columns=columns, condition=lies_open):
        chosen = frame[_reasons(frame).str.contains(reason, regex=False)]
        if len(chosen):
            yield chosen


def _reasons(frame: pd.DataFrame) -> "pd.Series[str]":
    """Return the reasons of each row: its own, or else its batch's."""
    return frame[REASONS].where(frame[REASONS] != "", frame[BATCH_REASONS])


def discard(table: Table, rows: pd.DataFrame, by: str) -> int:
    """Resolve rows as never to be used; the source's same rows are not quarantined again.

    Args:
        table: The quarantine.
        rows: Rows from `open_rows`.
        by: Turn or person that discards them.

    Returns:
        Number of discarded rows.
    """
    if rows.empty:
        return 0
    keys = rows[KEY].to_numpy(dtype=np.int64)
    return resolve_rows(
        table, keys, ["discarded"] * len(keys), by, _name("discarded", by, rows), sorted(rows[TURN].unique())
    )


def _name(what: str, by: str, rows: pd.DataFrame) -> str:
    """Return a name for a change that is the same for the same rows."""
    contents = np.sort(rows[CONTENT].to_numpy(dtype=np.int64)).tobytes()
    return f"{what}/{by}/{hashlib.sha256(contents).hexdigest()[:16]}"
