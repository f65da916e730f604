"""The incidents of the ledger: one row each, from the first sign to the end."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, update

from everfit.tasks.ledger.records import Incident
from everfit.tasks.ledger.schema import incidents
from everfit.tasks.ledger.store import Store

_COLUMNS = tuple(column.name for column in incidents.columns if column.name != "record")

IncidentChange = Callable[[Incident | None, int], Incident | None]
"""Takes the open incident, if there is one, and the next number; returns the incident as it is from now on."""


class Incidents:
    """The problems that people are notified of.

    Args:
        store: The ledger's database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def change(self, model: str, subject: str, change: IncidentChange) -> Incident | None:
        """Change the open incident of a subject, or open one; other writers of the model wait meanwhile.

        Args:
            model: The name of the model.
            subject: The subject of the incident.
            change: Decides what becomes of it. It must be pure, because it may be called again.

        Returns:
            The incident as it is now; None if there is none.
        """

        def write(connection: Connection) -> Incident | None:
            where = (incidents.c.model == model, incidents.c.subject == subject, incidents.c.state == "open")
            row = connection.execute(select(incidents).where(*where)).mappings().first()
            present = None if row is None else _incident(row)
            numbers = select(func.max(incidents.c.seq)).where(incidents.c.model == model)
            wanted = change(present, int(connection.execute(numbers).scalar() or 0) + 1)
            if wanted is not None and wanted != present:
                if present is None:
                    connection.execute(insert(incidents).values(**_values(wanted)))
                else:
                    connection.execute(update(incidents).where(incidents.c.id == present.id).values(**_values(wanted)))
            return wanted

        return self._store.write_again(model, write)

    def amend(self, incident: Incident) -> None:
        """Store an incident that was read before, such as one that was closed and whose message has arrived.

        Args:
            incident: The incident as it is from now on.
        """
        with self._store.write(incident.model) as connection:
            connection.execute(update(incidents).where(incidents.c.id == incident.id).values(**_values(incident)))

    def of(self, model: str, *, limit: int | None = None) -> list[Incident]:
        """Return the incidents of a model, oldest first.

        Args:
            model: The name of the model.
            limit: The largest number to return, from the newest back.
        """
        query = select(incidents).where(incidents.c.model == model)
        return self._read(query.order_by(incidents.c.seq.desc()).limit(limit))[::-1]

    def open(self, model: str | None = None) -> list[Incident]:
        """Return the open incidents, oldest first.

        Args:
            model: The name of a model; by default those of all models.
        """
        query = select(incidents).where(incidents.c.state == "open")
        if model is not None:
            query = query.where(incidents.c.model == model)
        return self._read(query.order_by(incidents.c.opened_at, incidents.c.id))

    def _read(self, query: Select[Any]) -> list[Incident]:
        with self._store.read() as connection:
            return [_incident(row) for row in connection.execute(query).mappings()]


def _values(incident: Incident) -> dict[str, Any]:
    content = incident.model_dump()
    columns = {name: content.pop(name) for name in _COLUMNS}
    return {**columns, "record": content}


def _incident(row: RowMapping) -> Incident:
    content = dict(row)
    return Incident.recall({**content.pop("record"), **content})
