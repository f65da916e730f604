"""Change what the documents of a model's rows say, when a person had something deleted; each change is a link."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select, update

from everfit.tasks.ledger.chain import update_row
from everfit.tasks.ledger.schema import decisions, incidents, turns
from everfit.tasks.ledger.store import Store

_TEXTS: dict[str, tuple[str, ...]] = {
    "turns": ("trigger_reason", "reasons", "record", "error"),
    "decisions": ("reasons", "record"),
}


def redact_rows(store: Store, model: str, change: Callable[[Any], Any]) -> int:
    """Change the texts and documents of a model's turns, decisions and incidents, in one transaction.

    Args:
        store: The ledger's database.
        model: Name of the model.
        change: Function that returns what a text or document says instead.

    Returns:
        The number of rows that changed.
    """
    changed = 0
    with store.write(model) as connection:
        for table in (turns, decisions):
            columns = [table.c[name] for name in _TEXTS[table.name]]
            for row in connection.execute(select(table.c.id, *columns).where(table.c.model == model)).mappings().all():
                values = {name: change(row[name]) for name in _TEXTS[table.name]}
                if values != {name: row[name] for name in values}:
                    update_row(connection, table, model, {"id": row["id"]}, values)
                    changed += 1
        kept = select(incidents.c.id, incidents.c.record).where(incidents.c.model == model)
        for identity, record in connection.execute(kept).all():  # incidents are not chained
            if (wanted := change(record)) != record:
                connection.execute(update(incidents).where(incidents.c.id == identity).values(record=wanted))
                changed += 1
    return changed
