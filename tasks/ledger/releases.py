"""The journal of releases, numbered per model: only one of two concurrent releases can replace a champion."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger.chain import insert_row, update_row
from everfit.tasks.ledger.leases import HeldLease, check_fence
from everfit.tasks.ledger.records import Release, ReleaseKind, ReleaseState, Turn
from everfit.tasks.ledger.schema import releases
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.turn_rows import check_turn

_STEPS: dict[ReleaseState, set[ReleaseState]] = {
    "intent": {"alias_set", "undone"},
    "alias_set": {"verified", "undone"},
    "verified": {"undone"},
    "undone": set(),
}


class Releases:
    """The releases of the ledger; `everfit.tasks.release.release` carries them out.

    Args:
        store: The ledger's database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def current(self, model: str) -> Release | None:
        """Return the release that made the present champion, or None if there is no champion."""
        with self._store.read() as connection:
            return _current(connection, model)

    def unfinished(self, model: str) -> Release | None:
        """Return the release that is under way or was interrupted by a crash, or None."""
        with self._store.read() as connection:
            newest = _newest(connection, model)
            return newest if newest is not None and newest.state in {"intent", "alias_set"} else None

    def of_turn(self, turn_id: str) -> Release | None:
        """Return the release that a turn made and that was not undone, or None."""
        query = select(releases).where(releases.c.turn_id == turn_id, releases.c.state.in_(["alias_set", "verified"]))
        with self._store.read() as connection:
            row = connection.execute(query.order_by(releases.c.seq.desc()).limit(1)).mappings().first()
            return None if row is None else release_of(row)

    def of(self, model: str) -> list[Release]:
        """Return all releases of a model, also undone ones, oldest first."""
        query = select(releases).where(releases.c.model == model).order_by(releases.c.seq)
        with self._store.read() as connection:
            return [release_of(row) for row in connection.execute(query).mappings()]

    def intend(
        self,
        target: ModelVersion,
        *,
        expected_previous: int | None,
        previous_version: int | None,
        kind: ReleaseKind,
        reason: str,
        actor: str,
        lease: HeldLease,
        turn: Turn | None = None,
    ) -> Release:
        """Record a release before it is carried out, by compare-and-swap on the release that it was decided on.

        Args:
            target: The version to be made champion.
            expected_previous: `seq` of the newest release when the decision was made; None before the first release.
            previous_version: The version that has the champion alias at present.
            kind: The kind of champion change.
            reason: Why the champion changes.
            actor: Name of the person or part of everfit that decided.
            lease: The model's release lease.
            turn: The turn that decided; its lease must still be held.

        Raises:
            BusyError: One of the leases is no longer held.
            LedgerError: Another release came in between, or a release is unfinished.
        """
        with self._store.write(target.model) as connection:
            draft = _draft(target, previous_version, kind, reason).model_copy(
                update={"actor": actor, "turn_id": turn.id if turn else None, "at": self._store.now(connection)}
            )
            return _append(connection, draft, expected_previous, lease, turn)

    def record_outside(
        self, target: ModelVersion, *, expected_previous: int | None, reason: str, lease: HeldLease
    ) -> Release:
        """Record a champion that was set outside of everfit; nothing is left to carry out.

        Raises:
            BusyError: The lease is no longer held.
            LedgerError: Another release came in between, or a release is unfinished.
        """
        with self._store.write(target.model) as connection:
            current = _current(connection, target.model)
            draft = _draft(target, current.version if current else None, "outside", reason).model_copy(
                update={"at": self._store.now(connection)}
            )
            entry = _append(connection, draft, expected_previous, lease)
            return _set_state(connection, entry, "verified", self._store.now(connection))

    def advance(self, release: Release, state: ReleaseState, *, lease: HeldLease, note: str = "") -> Release:
        """Record the next state of a release.

        Raises:
            BusyError: The lease is no longer held.
            LedgerError: The release is in another state than the caller's, or the new state can't follow it.
        """

        def write(connection: Connection) -> Release:
            check_fence(connection, release.model, "release", lease.token)
            present = _get(connection, release)
            if present.state == state != release.state:
                return present  # written already, on a connection that was cut before it said so
            if present.state != release.state or state not in _STEPS[present.state]:
                raise LedgerError(
                    f"release {release.seq} of {release.model!r} is {present.state!r} and can't become {state!r} "
                    f"from {release.state!r}; run `everfit reconcile {release.model}` and try again"
                )
            return _set_state(connection, present, state, self._store.now(connection), note)

        return self._store.write_again(release.model, write)

    def add_note(self, release: Release, note: str, *, lease: HeldLease) -> Release:
        """Record another note on a release, whose state stays.

        Raises:
            BusyError: The lease is no longer held.
        """

        def write(connection: Connection) -> Release:
            check_fence(connection, release.model, "release", lease.token)
            present = _get(connection, release)
            return _set_state(connection, present, present.state, self._store.now(connection), note)

        return self._store.write_again(release.model, write)


def _draft(target: ModelVersion, previous_version: int | None, kind: ReleaseKind, reason: str) -> Release:
    return Release(
        model=target.model,
        seq=0,
        version=target.version,
        previous_version=previous_version,
        kind=kind,
        reason=reason,
        actor="unknown",
        state="intent",
        run_id=target.run_id,
        snapshot_digest=target.snapshot_digest,
        at=datetime.min.replace(tzinfo=UTC),
    )


def _append(
    connection: Connection, draft: Release, expected_previous: int | None, lease: HeldLease, turn: Turn | None = None
) -> Release:
    """Number the draft and write it, if the release that it was decided on is still the newest."""
    model = draft.model
    check_fence(connection, model, "release", lease.token)
    if turn is not None:
        check_turn(connection, turn)
    newest, current = _newest(connection, model), _current(connection, model)
    if newest is not None and newest.state == "intent":
        raise LedgerError(f"release {newest.seq} of {model!r} is unfinished; run `everfit reconcile {model}` first")
    if (current.seq if current else None) != expected_previous:
        present = f"release {current.seq}, version {current.version} by {current.actor}" if current else "no release"
        earlier = f"release {expected_previous}" if expected_previous is not None else "no release"
        raise LedgerError(
            f"version {draft.version} of {model!r} lost the race: it was decided on when {earlier} was current, "
            f"and now {present} is; start a new turn to compare it with the present champion"
        )
    last = connection.execute(select(func.max(releases.c.seq)).where(releases.c.model == model)).scalar()
    entry = draft.model_copy(update={"seq": (last or 0) + 1})
    insert_row(connection, releases, entry.model_dump())
    return entry


def _set_state(connection: Connection, release: Release, state: ReleaseState, now: datetime, note: str = "") -> Release:
    change: dict[str, Any] = {"state": state, "note": note or release.note}
    if state == "verified":
        change["verified_at"] = now
    update_row(connection, releases, release.model, {"seq": release.seq}, change)
    return _get(connection, release)


def _current(connection: Connection, model: str) -> Release | None:
    return _first(connection, model, ("alias_set", "verified"))


def _newest(connection: Connection, model: str) -> Release | None:
    return _first(connection, model, ("intent", "alias_set", "verified", "undone"))


def _first(connection: Connection, model: str, states: tuple[ReleaseState, ...]) -> Release | None:
    query = select(releases).where(releases.c.model == model, releases.c.state.in_(states))
    row = connection.execute(query.order_by(releases.c.seq.desc()).limit(1)).mappings().first()
    return None if row is None else release_of(row)


def _get(connection: Connection, release: Release) -> Release:
    query = select(releases).where(releases.c.model == release.model, releases.c.seq == release.seq)
    return release_of(connection.execute(query).mappings().one())


def release_of(row: RowMapping | Mapping[str, Any]) -> Release:
    """Return the release of a row."""
    return Release.recall(dict(row))
