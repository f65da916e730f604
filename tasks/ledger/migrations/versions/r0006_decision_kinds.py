"""Decisions of a kind are found without reading the others, of which years of looks make many."""

from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the index; no row changes."""
    op.create_index("decisions_model_kind_at", "decisions", ["model", "kind", "at"])


def downgrade() -> None:
    """Refuse, as the ledger is not downgraded."""
    raise NotImplementedError("the ledger is not downgraded; restore a backup from before the upgrade")
