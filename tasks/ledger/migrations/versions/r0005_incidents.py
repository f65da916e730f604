"""The problems that people are notified of, from the first sign to the end."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table of incidents; earlier notifications have no row in it."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("seen_by", sa.Text, nullable=False),
        sa.Column("seen_until", sa.DateTime(timezone=True)),
        sa.Column("record", sa.JSON, nullable=False),
        sa.UniqueConstraint("model", "seq", name="incidents_model_seq"),
        sa.CheckConstraint("state IN ('open', 'closed')", name="incidents_state"),
    )
    op.create_index(
        "incidents_one_open",
        "incidents",
        ["model", "subject"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    """Refuse: nobody would be notified again of what is open."""
    raise NotImplementedError("the ledger is not downgraded; restore a backup from before the upgrade")
