"""Decisions with their evidence, recorded once each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.chain import insert_row
from everfit.tasks.ledger.records import Decision
from everfit.tasks.ledger.schema import decisions
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.turn_rows import turn_in


class Decisions:
    """The decisions of the ledger: of the gate, of triage, and of people.

    Args:
        store: The ledger's database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(
        self,
        decision_id: str,
        *,
        model: str,
        kind: str,
        verdict: str,
        until: datetime | None = None,
        reasons: Sequence[str] = (),
        record: Mapping[str, Any] | Record | None = None,
        turn_id: str | None = None,
    ) -> Decision:
        """Record a decision with its evidence; safe to repeat.

        Args:
            decision_id: Identifies the decision.
            model: Name of the model.
            kind: The kind of decision, such as `gate` or `triage`.
            verdict: The result.
            until: The end of the data that it is based on.
            reasons: The reasons, the most important first.
            record: The evidence.
            turn_id: The turn that it belongs to.

        Returns:
            The decision as it was first recorded.

        Raises:
            LedgerError: A decision of that id has another verdict, or the turn is unknown.
        """

        def write(connection: Connection) -> Decision:
            recorded = _find_decision(connection, decision_id)
            if recorded is None:
                if turn_id is not None:
                    turn_in(connection, turn_id)
                values = {"id": decision_id, "model": model, "turn_id": turn_id, "kind": kind, "verdict": verdict}
                values |= {"until": until, "reasons": list(reasons), "record": record or {}}  # type: ignore[dict-item]
                insert_row(connection, decisions, {**values, "at": self._store.now(connection)})
                recorded = _find_decision(connection, decision_id)
                assert recorded is not None  # noqa: S101 - inserted just before.
            elif (recorded.model, recorded.kind, recorded.verdict) != (model, kind, verdict):
                raise LedgerError(
                    f"decision {decision_id!r} was made before: {recorded.kind} of {recorded.model!r} is "
                    f"{recorded.verdict!r} since {recorded.at:%Y-%m-%d %H:%M} UTC; it can't become {verdict!r}"
                )
            return recorded

        return self._store.write_again(model, write)

    def find(self, decision_id: str) -> Decision | None:
        """Return the decision of that id, or None."""
        with self._store.read() as connection:
            return _find_decision(connection, decision_id)

    def of(
        self,
        model: str,
        *,
        turn_id: str | None = None,
        kind: str | None = None,
        verdict: str | None = None,
        limit: int | None = None,
    ) -> list[Decision]:
        """Return the decisions about a model, oldest first.

        Args:
            model: Name of the model.
            turn_id: Return only those of this turn.
            kind: Return only those of this kind.
            verdict: Return only those with this verdict.
            limit: The largest number to return, from the newest back.
        """
        query = select(decisions).where(decisions.c.model == model)
        if turn_id is not None:
            query = query.where(decisions.c.turn_id == turn_id)
        if kind is not None:
            query = query.where(decisions.c.kind == kind)
        if verdict is not None:
            query = query.where(decisions.c.verdict == verdict)
        query = query.order_by(decisions.c.at.desc(), decisions.c.id.desc()).limit(limit)
        with self._store.read() as connection:
            return [decision_of(row) for row in connection.execute(query).mappings()][::-1]

    def since(
        self, model: str, *, kind: str, at: datetime | None = None, until: datetime | None = None, limit: int
    ) -> list[Decision]:
        """Return the decisions that were recorded from a moment on, oldest first, a part of them at a time.

        Args:
            model: Name of the model.
            kind: The kind of decision.
            at: The earliest moment of the record; by default all.
            until: Leave out decisions about data that ends later.
            limit: The largest number to return, from the oldest on. The next part begins at the moment of the last
                one, with that one again.
        """
        query = select(decisions).where(decisions.c.model == model, decisions.c.kind == kind)
        if at is not None:
            query = query.where(decisions.c.at >= at)
        if until is not None:
            query = query.where(decisions.c.until <= until)
        query = query.order_by(decisions.c.at, decisions.c.id).limit(limit)
        with self._store.read() as connection:
            return [decision_of(row) for row in connection.execute(query).mappings()]


def _find_decision(connection: Connection, decision_id: str) -> Decision | None:
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).mappings().first()
    return None if row is None else decision_of(row)


def decision_of(row: RowMapping | Mapping[str, Any]) -> Decision:
    """Return the decision of a row."""
    return Decision.recall(dict(row))
