"""The chain of hashes over the rows; the rows that are there are linked as they are, in order of time.

The tables are spelled out as they were then. The digest of a row is not: old links are checked for as long as there are
links, so `chain.row_digest` never changes for these columns.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from everfit.tasks.ledger.chain import DIGESTED, GENESIS, next_link, row_key
from everfit.tasks.ledger.schema import Document, UtcDateTime

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

_MOMENTS = {"since", "until", "started_at", "finished_at", "at", "verified_at"}
_DOCUMENTS = {"reasons", "record", "files"}
_BEGAN = {"turns": "started_at", "decisions": "at", "releases": "at", "artifacts": "at"}


def upgrade() -> None:
    """Make the table of links, and link all rows."""
    op.create_table(
        "chain",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("row_key", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    links = sa.table("chain", *map(_column, ("model", "seq", "kind", "row_key", "digest", "at", "previous", "hash")))
    last: dict[str, tuple[int, str]] = {}
    now = datetime.now(UTC)
    for _, kind, _, row in sorted(_rows(), key=lambda entry: entry[:3]):
        values = next_link(kind, row, *last.get(row["model"], (0, GENESIS)), at=now)
        op.execute(sa.insert(links).values(**values))
        last[row["model"]] = (values["seq"], values["hash"])


def _rows() -> list[tuple[datetime, str, str, dict[str, Any]]]:
    found: list[tuple[datetime, str, str, dict[str, Any]]] = []
    for kind, began in _BEGAN.items():
        table = sa.table(kind, *map(_column, ("model", *DIGESTED[kind])))
        rows = [dict(row) for row in op.get_bind().execute(sa.select(table)).mappings()]
        found += [(row[began], kind, row_key(kind, row), row) for row in rows]
    return found


def _column(name: str) -> Any:
    if name in _MOMENTS:
        return sa.column(name, UtcDateTime())
    return sa.column(name, Document()) if name in _DOCUMENTS else sa.column(name)


def downgrade() -> None:
    """Refuse: without the chain nobody could tell a changed row."""
    raise NotImplementedError("the ledger is not downgraded; restore a backup from before the upgrade")
