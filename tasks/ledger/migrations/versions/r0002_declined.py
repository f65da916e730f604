"""A person's no is `Declined`, as `rejected` means refused data; stored records say `reason`.

Turns that ended as `Rejected` become `Declined`. Approvals become `decline` where they were `reject`, and their field
`why` becomes `reason`. Looks at traffic trials have `no_quality_reason` and `superseded` in place of `why_no_quality`
and `overtaken`.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

_TURNS = sa.table("turns", sa.column("state", sa.Text))
_DECISIONS = sa.table(
    "decisions",
    sa.column("id", sa.Text),
    sa.column("kind", sa.Text),
    sa.column("verdict", sa.Text),
    sa.column("record", sa.JSON),
)


def upgrade() -> None:
    """Rename the state, the outcome and the fields."""
    op.execute(sa.update(_TURNS).where(_TURNS.c.state == "Rejected").values(state="Declined"))
    approvals = sa.update(_DECISIONS).where(_DECISIONS.c.kind == "approval", _DECISIONS.c.verdict == "reject")
    op.execute(approvals.values(verdict="decline"))
    for decision_id, record in _records("approval"):
        outcome = "decline" if record.get("outcome") == "reject" else record.get("outcome")
        _replace(decision_id, _renamed(record, {"why": "reason"}) | {"outcome": outcome})
    for decision_id, record in _records("trial"):
        _replace(decision_id, _renamed(record, {"why_no_quality": "no_quality_reason", "overtaken": "superseded"}))


def _records(kind: str) -> list[tuple[str, dict[str, Any]]]:
    query = sa.select(_DECISIONS.c.id, _DECISIONS.c.record).where(_DECISIONS.c.kind == kind)
    return [(row.id, row.record) for row in op.get_bind().execute(query)]


def _replace(decision_id: str, record: dict[str, Any]) -> None:
    op.execute(sa.update(_DECISIONS).where(_DECISIONS.c.id == decision_id).values(record=record))


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Return JSON with fields renamed at every depth."""
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value


def downgrade() -> None:
    """Refuse: an older everfit doesn't know the new names."""
    raise NotImplementedError("the ledger is not downgraded; restore a backup from before the upgrade")
