"""The ledger's tables, as the newest migration leaves them."""

import math
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

REVISION = "0006"
"""The migration that this code needs; a test checks that it is the newest."""
VERSION_TABLE = "everfit_schema"
"""The table that names the last migration."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC with its time zone, also on SQLite, which stores no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a moment to UTC; refuse one without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the ledger stores UTC")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC, independent of the session's zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[Any]):
    """JSON that takes records and dates; NaN and infinity become strings, as PostgreSQL refuses them as numbers."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Convert records, dates and non-finite numbers to plain JSON."""
        return _storable(to_jsonable_python(value))


def _storable(value: Any) -> Any:
    """Replace what PostgreSQL can't store in JSON: the character NUL and non-finite numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


metadata = MetaData()

turns = Table(
    "turns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("trigger_kind", Text, nullable=False),
    Column("trigger_reason", Text, nullable=False),
    Column("trigger_id", Text, nullable=False),
    Column("since", UtcDateTime),
    Column("until", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("verdict", Text),
    Column("reasons", Document, nullable=False),
    Column("record", Document, nullable=False),
    Column("spec_digest", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("fence", Integer),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("seconds", Float),
    Column("error", Text),
    UniqueConstraint("model", "seq", name="turns_model_seq"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("turn_id", Text, ForeignKey("turns.id", name="decisions_turn")),
    Column("kind", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("until", UtcDateTime),
    Column("reasons", Document, nullable=False),
    Column("record", Document, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("decisions_model_at", "model", "at"),
    Index("decisions_model_kind_at", "model", "kind", "at"),
    Index("decisions_turn_id", "turn_id"),
)

releases = Table(
    "releases",
    metadata,
    Column("model", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("previous_version", Integer),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("turn_id", Text, ForeignKey("turns.id", name="releases_turn")),
    Column("state", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("snapshot_digest", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("verified_at", UtcDateTime),
    CheckConstraint("kind IN ('promotion', 'rollback', 'outside')", name="releases_kind"),
    CheckConstraint("state IN ('intent', 'alias_set', 'verified', 'undone')", name="releases_state"),
    Index(
        "releases_one_intent",
        "model",
        unique=True,
        sqlite_where=text("state = 'intent'"),
        postgresql_where=text("state = 'intent'"),
    ),
    Index("releases_turn_id", "turn_id"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("files", Document, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

chain = Table(
    "chain",
    metadata,
    Column("model", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("row_key", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("seen_by", Text, nullable=False),
    Column("seen_until", UtcDateTime),
    Column("record", Document, nullable=False),
    UniqueConstraint("model", "seq", name="incidents_model_seq"),
    CheckConstraint("state IN ('open', 'closed')", name="incidents_state"),
    Index(
        "incidents_one_open",
        "model",
        "subject",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

leases = Table(
    "leases",
    metadata,
    Column("model", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("holder", Text),
    Column("token", Integer, nullable=False),
    Column("turn_id", Text),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", Text, nullable=False),
    Column("acquired_at", UtcDateTime, nullable=False),
    Column("beat_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
