"""The quarantine: what was not good enough to learn from, with its reasons, until somebody settles it."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN, Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

REASONS, BATCH_REASONS = "_reasons", "_batch_reasons"
"""Columns of the quarantine: what the row itself failed, and what its batch failed."""

ROW, SOURCE = "_row", "_source"
"""Columns of the quarantine: the row's content as JSON, whatever its columns are, and where it came from."""

RESOLUTION, RESOLVED_BY = "_resolution", "_resolved_by"
"""Columns of the quarantine: how the row was settled (nothing while it is open), and by which turn or person."""

Resolution = Literal["accepted", "repeated", "released", "discarded"]
"""A later turn took the row's key in, or quarantined it again; or a person released or discarded it."""


def to_quarantine(rows: "pa.Table", reasons: Sequence[str], batch_reasons: str, own: Sequence[str]) -> "pa.Table":
    """Staged rows in the form of the quarantine.

    Args:
        rows: With everfit's own columns.
        reasons: Of each row; shape (rows,).
        batch_reasons: Why the batch was refused; empty when it was not.
        own: Names of columns that are no content.
    """
    import pyarrow as pa

    count = len(rows)
    content = rows.select([name for name in rows.column_names if name not in own])
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
        orjson.dumps(row, option=orjson.OPT_UTC_Z).decode()
        for batch in content.to_batches(max_chunksize=65_536)
        for row in batch.to_pylist()
    ]


def open_identities(
    model: str, workspace: Workspace
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """Keys and contents of the rows that lie open or were discarded, and which lie there for their batch's sake.

    Args:
        model: The model's name.
        workspace: Where it is.
    """
    import pyarrow.compute as pc
    import pyarrow.dataset as pds

    table = workspace.table(model, "quarantine")
    if not table.exists():
        return
    kept = pds.field(RESOLUTION).is_null() | (pds.field(RESOLUTION) == "discarded")
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
    """Mark the open rows of these keys as settled, once.

    Args:
        quarantine: The table.
        keys: Of rows; shape (rows,).
        resolutions: Of each; shape (rows,).
        by: The turn or person that settles them; its own rows stay as they are.
        transaction: Names this change for ever.
        turns: Only rows that these turns have quarantined; by default all.

    Returns:
        How many rows were settled.
    """
    import pyarrow as pa

    if not len(keys) or not quarantine.exists() or quarantine.written(transaction):
        return 0
    marks = pa.table(
        {
            KEY: pa.array(keys, pa.int64()),
            RESOLUTION: pa.array(list(resolutions), pa.string()),
            RESOLVED_BY: pa.array([by] * len(keys), pa.string()),
        }
    )
    marks = marks.group_by(KEY).aggregate([(RESOLUTION, "min"), (RESOLVED_BY, "min")])
    marks = marks.rename_columns([KEY, RESOLUTION, RESOLVED_BY])
    condition = f"old.{KEY} = new.{KEY} AND old.{RESOLUTION} IS NULL AND old.{TURN} <> {_quoted(by)}"
    if turns is not None:
        condition += f" AND old.{TURN} IN ({', '.join(map(_quoted, turns))})"
    found: dict[str, Any] = quarantine.update_matched(marks, condition, [RESOLUTION, RESOLVED_BY], transaction)
    return int(found.get("num_target_rows_updated", 0))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class QuarantineGroup(Record):
    """The open rows of one reason."""

    reason: str
    rows: int
    turns: tuple[str, ...] = Field(description="Those that quarantined them.")
    batch_refused: bool = Field(description="Whether the batch was refused, and not these rows for their own sake.")
    samples: tuple[str, ...] = Field(description="Contents of some rows, as JSON.")


def piles(
    model: str, workspace: Workspace, samples: int = 3, reason: str = "", turn_id: str | None = None
) -> list[QuarantineGroup]:
    """The open rows of a model's quarantine by reason, the largest pile first.

    Args:
        model: The model's name.
        workspace: Where it is.
        samples: Contents that are shown of each pile.
        reason: As `open_rows` takes it.
        turn_id: As `open_rows` takes it.
    """
    table = workspace.table(model, "quarantine")
    found: dict[str, QuarantineGroup] = {}
    for frame in _open_rows(table, [REASONS, BATCH_REASONS, TURN, ROW], reason, turn_id) if table.exists() else ():
        for told, rows in frame.groupby(_told(frame)):
            pile = found.get(str(told))
            found[str(told)] = QuarantineGroup(
                reason=str(told),
                rows=len(rows) + (pile.rows if pile else 0),
                turns=tuple(sorted({*rows[TURN], *(pile.turns if pile else ())})),
                batch_refused=bool((rows[BATCH_REASONS] != "").all()) and (pile is None or pile.batch_refused),
                samples=(*(pile.samples if pile else ()), *rows[ROW])[:samples],
            )
    return sorted(found.values(), key=lambda pile: (-pile.rows, pile.reason))


def open_rows(table: Table, reason: str = "", turn_id: str | None = None) -> pd.DataFrame:
    """The rows that lie open, and may be settled.

    Args:
        table: The quarantine.
        reason: Only rows whose reasons contain this; of one that lies there for its batch's sake alone, the batch's.
        turn_id: Only rows that this turn has quarantined.
    """
    found = list(_open_rows(table, None, reason, turn_id)) if table.exists() else []
    return pd.concat(found).sort_values(KEY, kind="stable", ignore_index=True) if found else pd.DataFrame()


def _open_rows(table: Table, columns: list[str] | None, reason: str, turn_id: str | None) -> Iterator[pd.DataFrame]:
    """Piece by piece, as a refused batch may be larger than memory."""
    import pyarrow.dataset as pds

    lies_open = pds.field(RESOLUTION).is_null()
    if turn_id is not None:
        lies_open &= pds.field(TURN) == turn_id
    for frame in table.batches(columns=columns, condition=lies_open):
        chosen = frame[_told(frame).str.contains(reason, regex=False)]
        if len(chosen):
            yield chosen


def _told(frame: pd.DataFrame) -> "pd.Series[str]":
    """Why each row lies there: what it failed itself, or else its batch."""
    return frame[REASONS].where(frame[REASONS] != "", frame[BATCH_REASONS])


def discard(table: Table, rows: pd.DataFrame, by: str) -> int:
    """Settle rows as never to be used; the same rows from the source are not quarantined again.

    Args:
        table: The quarantine.
        rows: As `open_rows` gives them.
        by: The turn or person that settles them.

    Returns:
        How many rows were discarded.
    """
    if rows.empty:
        return 0
    keys = rows[KEY].to_numpy(dtype=np.int64)
    return resolve_rows(
        table, keys, ["discarded"] * len(keys), by, _name("discarded", by, rows), sorted(rows[TURN].unique())
    )


def _name(what: str, by: str, rows: pd.DataFrame) -> str:
    """The name of a change, the same for the same rows."""
    contents = np.sort(rows[CONTENT].to_numpy(dtype=np.int64)).tobytes()
    return f"{what}/{by}/{hashlib.sha256(contents).hexdigest()[:16]}"
