"""The names of models in the ledger: what was renamed or retired, and a change of the name in all rows."""

import json

from sqlalchemy import select, update

from everfit.blocks.errors import LedgerError
from everfit.tasks.ledger.chain import update_row
from everfit.tasks.ledger.ledger import Ledger
from everfit.tasks.ledger.records import Decision
from everfit.tasks.ledger.schema import artifacts, chain, decisions, incidents, releases, turns

RENAMING, RETIREMENT = "renaming", "retirement"
"""The kinds of the decisions about a model's name and end."""


def known_models(ledger: Ledger) -> set[str]:
    """Return the names of all models in the ledger, retired ones included."""
    with ledger.store.read() as connection:
        return {
            str(name)
            for table in (turns, decisions, releases, incidents)
            for name in connection.execute(select(table.c.model).distinct()).scalars()
        }


def name_changes(ledger: Ledger, model: str) -> list[Decision]:
    """Return what people decided about the name and the end of a model, oldest first."""
    found = [entry for kind in (RENAMING, RETIREMENT) for entry in ledger.decisions.of(model, kind=kind)]
    return sorted(found, key=lambda entry: entry.at)


def later_name(ledger: Ledger, model: str) -> str | None:
    """Return the name that a model was given later; None if the ledger knows of no renaming."""
    query = select(decisions.c.model, decisions.c.record).where(decisions.c.kind == RENAMING).order_by(decisions.c.at)
    with ledger.store.read() as connection:
        rows = connection.execute(query).all()
    return next((str(name) for name, record in reversed(rows) if record.get("old") == model and name != model), None)


def rename_rows(ledger: Ledger, old: str, new: str, folders: tuple[str, str]) -> None:
    """Give all rows of a model another name, in one transaction.

    Args:
        ledger: The ledger.
        old: The present name.
        new: The name to give.
        folders: The addresses of the model's folder in the workspace, before and after. Turns name files in it.

    Raises:
        LedgerError: The ledger has rows under the new name.
    """
    before, after = (json.dumps(f"{folder}/")[1:-1] for folder in folders)
    with ledger.store.write(old) as connection:
        if connection.execute(select(turns.c.id).where(turns.c.model == new).limit(1)).first() is not None:
            raise LedgerError(f"the ledger has turns of a model {new!r}; choose another name")
        for turn_id, record in connection.execute(select(turns.c.id, turns.c.record).where(turns.c.model == old)).all():
            text = json.dumps(record)
            if before in text:
                moved = json.loads(text.replace(before, after))
                update_row(connection, turns, old, {"id": turn_id}, {"record": moved})
        for table in (turns, decisions, releases, artifacts, chain, incidents):
            connection.execute(update(table).where(table.c.model == old).values(model=new))
