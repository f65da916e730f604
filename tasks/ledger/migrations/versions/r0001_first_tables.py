"""Turns, decisions, releases and leases.

The tables are spelled out rather than taken from the schema, which later revisions change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the first tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "turns",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("trigger_kind", sa.Text, nullable=False),
        sa.Column("trigger_reason", sa.Text, nullable=False),
        sa.Column("trigger_id", sa.Text, nullable=False),
        sa.Column("since", moment),
        sa.Column("until", moment, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("spec_digest", sa.Text, nullable=False),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("seconds", sa.Float),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("model", "seq", name="turns_model_seq"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("turn_id", sa.Text, sa.ForeignKey("turns.id", name="decisions_turn")),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("until", moment),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_index("decisions_model_at", "decisions", ["model", "at"])
    op.create_index("decisions_turn_id", "decisions", ["turn_id"])
    op.create_table(
        "releases",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("previous_version", sa.Integer),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("turn_id", sa.Text, sa.ForeignKey("turns.id", name="releases_turn")),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("snapshot_digest", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("verified_at", moment),
        sa.CheckConstraint("kind IN ('promotion', 'rollback', 'outside')", name="releases_kind"),
        sa.CheckConstraint("state IN ('intent', 'alias_set', 'verified', 'undone')", name="releases_state"),
    )
    op.create_index(
        "releases_one_intent",
        "releases",
        ["model"],
        unique=True,
        sqlite_where=sa.text("state = 'intent'"),
        postgresql_where=sa.text("state = 'intent'"),
    )
    op.create_index("releases_turn_id", "releases", ["turn_id"])
    op.create_table(
        "leases",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("turn_id", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("process_started", sa.Text, nullable=False),
        sa.Column("acquired_at", moment, nullable=False),
        sa.Column("beat_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
    )


def downgrade() -> None:
    """Refuse: dropping the history is not something to do by a slip of the hand."""
    raise NotImplementedError("the ledger is not downgraded; restore a backup from before the upgrade")
