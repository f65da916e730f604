"""Who holds the leases of a model, by the ledger's table."""

from sqlalchemy import select

from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.records import Lease
from everfit.tasks.ledger.schema import leases


def held_leases(ledger: Ledger, model: str) -> list[Lease]:
    """Those that somebody holds."""
    with ledger.store.read() as connection:
        query = select(leases).where(leases.c.model == model, leases.c.holder.is_not(None))
        return [Lease.recall(dict(row)) for row in connection.execute(query).mappings()]
