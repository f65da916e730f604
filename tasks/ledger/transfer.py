"""Carry the rows of a model from one ledger to another, as plain data."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from everfit.blocks.errors import LedgerError
from everfit.tasks.ledger.chain import CHAINED, KEYS, link, row_digest, row_in, row_key, unlink
from everfit.tasks.ledger.ledger import Ledger
from everfit.tasks.ledger.schema import UtcDateTime, chain, leases, metadata

Row = dict[str, Any]


def _tables() -> list[Table]:
    """Return the tables with rows of a model, referenced ones first. Leases belong to processes and are not carried."""
    return [table for table in metadata.sorted_tables if "model" in table.c and table is not leases]


def dump_rows(ledger: Ledger, model: str) -> tuple[datetime, dict[str, list[Row]]]:
    """Return all rows of a model, from one consistent view of the ledger.

    Args:
        ledger: The ledger.
        model: Name of the model.

    Returns:
        The time of the view, and the rows by name of the table, with times as texts.
    """
    with ledger.store.read() as connection:
        dumped = {}
        for table in _tables():
            query = select(table).where(table.c.model == model).order_by(*table.primary_key.columns)
            dumped[table.name] = [
                {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
                for row in connection.execute(query).mappings()
            ]
        return ledger.store.now(connection), dumped


def load_rows(
    ledger: Ledger, model: str, dumped: Mapping[str, Sequence[Row]], change: Callable[[Row], Row]
) -> dict[str, int]:
    """Insert the rows of a model, all of them or none.

    Args:
        ledger: A ledger without rows of the model.
        model: Name of the model.
        dumped: As `dump_rows` returned them. Columns of earlier versions that are gone are left out.
        change: Function that returns the row to insert for a row that was dumped.

    Returns:
        The number of rows by name of the table.

    Raises:
        LedgerError: The ledger has rows of the model, or the rows are of another model.
    """
    counts = {}
    with ledger.store.write(model) as connection:
        for table in _tables():
            if connection.execute(select(table.c.model).where(table.c.model == model).limit(1)).first() is not None:
                raise LedgerError(f"the ledger has rows of {model!r} in {table.name!r} already; use another ledger")
        for table in _tables():
            links = table is chain  # their hashes are over the rows as they were
            rows = [typed_row(table, dict(row) if links else change(dict(row))) for row in dumped.get(table.name, ())]
            if others := {row["model"] for row in rows} - {model}:
                raise LedgerError(f"the rows of {model!r} name the models {sorted(others)!r}; use another backup")
            if rows:
                connection.execute(insert(table), rows)
            counts[table.name] = len(rows)
        for table in CHAINED.values():
            for row in dumped.get(table.name, ()):
                _link(connection, table, typed_row(table, dict(row)), typed_row(table, change(dict(row))))
    return counts


def _link(connection: Connection, table: Table, before: Row, now: Row) -> None:
    """Link a row that is not as it was dumped. One that was changed beside its ledger stays without a link of its own.

    A row of a ledger without a chain is linked as it is.
    """
    kind = table.name
    query = select(chain.c.digest).where(
        chain.c.model == now["model"], chain.c.kind == kind, chain.c.row_key == row_key(kind, before)
    )
    recorded = connection.execute(query.order_by(chain.c.seq.desc()).limit(1)).scalar()
    if recorded is not None and (before == now or recorded != row_digest(kind, before)):
        return
    if recorded is not None and row_key(kind, before) != row_key(kind, now):
        unlink(connection, table, before)
    key = {name: now[name] for name in KEYS[kind]}
    link(connection, table, row_in(connection, table, str(now["model"]), key))


def typed_row(table: Table, row: Row) -> Row:
    """Return a row that was dumped with its times as times, without columns that the table lacks."""
    values = {name: value for name, value in row.items() if name in table.c}
    for column in table.c:
        if isinstance(column.type, UtcDateTime) and isinstance(values.get(column.name), str):
            values[column.name] = datetime.fromisoformat(values[column.name])
    return values
