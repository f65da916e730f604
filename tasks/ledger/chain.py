"""The chain of hashes over the ledger's rows: each write of a row adds a link with the row's digest.

A row may change by design, such as a turn's while it runs. So links are about writes: the newest link of a row has the
digest of the row as it is now, and earlier links have earlier digests. A link's hash covers the one of the link before.
Leases are no history and are not chained. The name of the model is not part of a hash, because models are renamed.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, insert, select, update

from everfit.tasks.ledger.schema import artifacts, chain, decisions, releases, turns

CHAINED: dict[str, Table] = {table.name: table for table in (turns, decisions, releases, artifacts)}
"""The tables whose rows are chained, by name."""

KEYS: dict[str, tuple[str, ...]] = {
    "turns": ("id",),
    "decisions": ("id",),
    "releases": ("seq",),
    "artifacts": ("version", "run_id", "seq"),
}
"""The columns that name a row among those of its model."""

ROW_NAMES = {"turns": "turn", "decisions": "decision", "releases": "release", "artifacts": "the record of files"}
"""The names of rows for people, by table."""

DIGESTED: dict[str, tuple[str, ...]] = {
    "turns": (
        *("id", "seq", "trigger_kind", "trigger_reason", "trigger_id", "since", "until", "state", "verdict"),
        *("reasons", "record", "spec_digest", "code_version", "attempt", "fence", "started_at", "finished_at"),
        *("seconds", "error"),
    ),
    "decisions": ("id", "turn_id", "kind", "verdict", "until", "reasons", "record", "at"),
    "releases": (
        *("seq", "version", "previous_version", "kind", "reason", "actor", "turn_id", "state", "run_id"),
        *("snapshot_digest", "note", "at", "verified_at"),
    ),
    "artifacts": ("version", "run_id", "seq", "files", "reason", "actor", "at"),
}
"""The columns of a digest. They are fixed, as old links are checked too: a migration that adds a column adds links."""

GENESIS = "0" * 64
"""The hash before the first link."""

GONE = ""
"""The digest in a link of a row that was removed on purpose."""


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row and link it.

    Args:
        connection: A write transaction of the row's model, which excludes other writers of its chain.
        table: One of the chained tables.
        values: The columns.
    """
    connection.execute(insert(table).values(**values))
    key = {name: values[name] for name in KEYS[table.name]}
    link(connection, table, row_in(connection, table, str(values["model"]), key))


def update_row(
    connection: Connection, table: Table, model: str, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Change a row and link it as it is then.

    Args:
        connection: As for `insert_row`.
        table: One of the chained tables.
        model: Name of the model.
        key: The row's key, as `KEYS` has it.
        values: The columns to write.
    """
    connection.execute(update(table).where(_where(table, model, key)).values(**values))
    link(connection, table, row_in(connection, table, model, key))


def row_in(connection: Connection, table: Table, model: str, key: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row, as the database has it."""
    return dict(connection.execute(select(table).where(_where(table, model, key))).mappings().one())


def _where(table: Table, model: str, key: Mapping[str, Any]) -> Any:
    return and_(table.c.model == model, *(table.c[name] == value for name, value in key.items()))


def link(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Add the link of a row that was just written to the end of its model's chain.

    Args:
        connection: As for `insert_row`.
        table: The table of the row.
        row: The row as the database has it: a driver may round what was given.
    """
    _append(connection, row["model"], table.name, row_key(table.name, row), row_digest(table.name, row))


def unlink(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Add a link that says that a row was removed on purpose, as when a restored row has another key.

    Args:
        connection: As for `insert_row`.
        table: The table of the row.
        row: The row as it was.
    """
    _append(connection, row["model"], table.name, row_key(table.name, row), GONE)


def _append(connection: Connection, model: str, kind: str, key: str, digest: str) -> None:
    newest = select(chain.c.seq, chain.c.hash).where(chain.c.model == model).order_by(chain.c.seq.desc())
    seq, previous = connection.execute(newest.limit(1)).first() or (0, GENESIS)
    values = {"seq": seq, "kind": kind, "row_key": key, "digest": digest}
    connection.execute(insert(chain).values(**_linked(model, values, previous, datetime.now(UTC))))


def next_link(kind: str, row: Mapping[str, Any], seq: int, previous: str, *, at: datetime) -> dict[str, Any]:
    """Return the columns of the link that follows another.

    Args:
        kind: Name of the row's table.
        row: The row.
        seq: Number of the link before; 0 for the first link.
        previous: Hash of the link before.
        at: Time of the link.
    """
    values = {"seq": seq, "kind": kind, "row_key": row_key(kind, row), "digest": row_digest(kind, row)}
    return _linked(row["model"], values, previous, at)


def _linked(model: str, values: Mapping[str, Any], previous: str, at: datetime) -> dict[str, Any]:
    link = {**values, "seq": values["seq"] + 1, "at": at, "previous": previous}
    return {"model": model, **link, "hash": link_hash(link)}


def link_hash(values: Mapping[str, Any]) -> str:
    """Return the hash of a link, which covers the hash of the link before."""
    covered = {name: values[name] for name in ("seq", "kind", "row_key", "digest", "at", "previous")}
    return _sha256(covered)


def row_key(kind: str, row: Mapping[str, Any]) -> str:
    """Return the name of a row among those of its model and table."""
    return "/".join(str(row[name]) for name in KEYS[kind])


def row_digest(kind: str, row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a row's columns, in one form for every database."""
    return _sha256({name: row[name] for name in DIGESTED[kind]})


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    raise TypeError(f"{value!r} of type {type(value).__name__!r} can't be part of a digest")
