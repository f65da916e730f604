"""Release a version, roll back to a former champion, and repair an interrupted release."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everfit.blocks.errors import LedgerError
from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.ledger import Ledger, Release, Turn
from everfit.tasks.ledger.records import Lease
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.release.champions import succession
from everfit.tasks.release.release_protocol import LEASE_WAIT, ReleaseProtocol, is_settled

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient


def release(
    ledger: Ledger,
    client: "MlflowClient",
    model: str,
    version: int,
    *,
    expected_previous: int | None,
    reason: str,
    actor: str,
    turn: Turn | None = None,
    policy: ReleasePolicy | None = None,
) -> Release:
    """Make a version the champion exactly once, or change nothing.

    If a turn was killed while it released, its next run returns the release that it made.

    Args:
        ledger: The ledger; it records each step of the release.
        client: MLflow client of the registry.
        model: Name of the model.
        version: The version to be made champion.
        expected_previous: `seq` of the newest release when this one was decided; None before the first release.
        reason: Why the version is released.
        actor: Name of the person who decided, or `gate`.
        turn: The turn that decided; its lease must still be held.
        policy: The services that must serve the version, and how long that may take.

    Returns:
        The verified release.

    Raises:
        BusyError: Another release of the model is under way, or the turn's lease was lost.
        LedgerError: Another release came in between, or the version is the present champion.
        ArtifactError: The version's files are not those that were registered.
        ModelError: The version is unknown, or it was not served and was rolled back.
    """
    policy = policy or ReleasePolicy()
    turn_id = turn.id if turn else None
    wait = policy.verify_timeout + LEASE_WAIT
    with ledger.leases.hold(model, scope="release", holder=actor, turn_id=turn_id, wait=wait) as lease:
        protocol = ReleaseProtocol(ledger, client, model, policy, lease)
        protocol.settle()
        if turn is not None and (earlier := ledger.releases.of_turn(turn.id)) and earlier.version == version:
            return earlier
        target = model_registry.model_version(client, model, version)
        current = ledger.releases.current(model)
        if current is not None and current.version == version:
            raise LedgerError(
                f"version {version} is the champion of {model!r} since release {current.seq}; nothing was released"
            )
        model_files.check(client, ledger, target)
        entry = ledger.releases.intend(
            target,
            expected_previous=expected_previous,
            previous_version=current.version if current else None,
            kind="promotion",
            reason=reason,
            actor=actor,
            lease=lease,
            turn=turn,
        )
        return protocol.carry_out(entry)


def rollback(
    ledger: Ledger,
    client: "MlflowClient",
    model: str,
    *,
    reason: str,
    actor: str,
    to: int | None = None,
    expected_previous: int | None = None,
    rows: "pd.DataFrame | None" = None,
    policy: ReleasePolicy | None = None,
    killed: Lease | None = None,
) -> Release:
    """Make a former champion the champion again, after a check that it loads and predicts.

    If an earlier call was killed after it had recorded its intent, this call finishes that rollback and makes no other.
    The same holds if it was killed before the person had the answer: another one would go back one version more.

    A rollback doesn't wait for a running turn. That turn's own release is refused later, as it was decided against
    another champion.

    Args:
        ledger: The ledger; it records each step of the rollback.
        client: MLflow client of the registry.
        model: Name of the model.
        reason: Why the champion is rolled back.
        actor: Name of the person or part of everfit that decided.
        to: The version to roll back to; by default the previous champion.
        expected_previous: `seq` of the release to roll back; nothing is done if another release is current. By
            default, if `to` is omitted, the release that is current now, or an alias that was moved by hand.
        rows: The rows to predict on first; by default the input example that was logged with the version.
        policy: The services that must serve the version, and how long that may take.
        killed: The lease of an earlier command that was killed before it had answered, or None.

    Returns:
        The verified release.

    Raises:
        BusyError: A release of the model is under way.
        LedgerError: There is no champion, no previous one, the version is the champion, or another release came in
            between.
        ArtifactError: The version's files are not those that were registered.
        ModelError: The version is unknown, can't be loaded, can't predict, or isn't served.
    """
    policy = policy or ReleasePolicy()
    wait = policy.verify_timeout + LEASE_WAIT
    seen = ledger.releases.current(model)  # read before the wait, in which another release may come
    with ledger.leases.hold(model, scope="release", holder=actor, wait=wait) as lease:
        protocol = ReleaseProtocol(ledger, client, model, policy, lease)
        interrupted = ledger.releases.unfinished(model)
        protocol.settle()
        if interrupted is not None and _is_same_rollback(interrupted, to, reason, actor):
            finished = next(entry for entry in ledger.releases.of(model) if entry.seq == interrupted.seq)
            if finished.state == "alias_set":
                return protocol.require_served(finished)
            if finished.state == "verified":
                return finished
        current = ledger.releases.current(model)
        if current is None:
            raise LedgerError(f"model {model!r} has no champion to roll back; train it first")
        if _is_unanswered(current, [one for one in (lease.died, killed) if one is not None], to, reason, actor):
            return current
        if expected_previous is not None:
            _check_still(current, current.seq == expected_previous)
        elif to is None:
            since = [entry for entry in ledger.releases.of(model) if seen is None or entry.seq > seen.seq]
            by_hand = current in since and all(entry.kind == "outside" for entry in since)
            _check_still(current, by_hand or (seen is not None and current.seq == seen.seq))
        version = _before(ledger, model) if to is None else to
        if version == current.version:
            raise LedgerError(
                f"version {version} is the champion of {model!r} since release {current.seq}; "
                "give another version with --to, or omit --to for the previous champion"
            )
        target = model_registry.model_version(client, model, version)
        model_files.probe(client, ledger, target, rows)
        entry = ledger.releases.intend(
            target,
            expected_previous=current.seq,
            previous_version=current.version,
            kind="rollback",
            reason=reason,
            actor=actor,
            lease=lease,
        )
        return protocol.carry_out(entry)


def reconcile(ledger: Ledger, client: "MlflowClient", model: str, *, policy: ReleasePolicy | None = None) -> list[str]:
    """Repair an interrupted release, and record a champion alias that was moved by hand.

    Afterwards the champion alias and the ledger agree. It is safe to run at any time, concurrently, and to kill.

    Args:
        ledger: The ledger.
        client: MLflow client of the registry.
        model: Name of the model.
        policy: The services that must serve a champion, and how long that may take.

    Returns:
        A sentence for each change; usually empty, and then no lease is taken.

    Raises:
        BusyError: A release is under way for longer than it may take.
        LedgerError: The ledger doesn't answer.
        ModelError: The registry doesn't answer.
    """
    if is_settled(ledger, client, model):
        return []
    policy = policy or ReleasePolicy()
    with ledger.leases.hold(model, scope="release", wait=policy.verify_timeout + LEASE_WAIT) as lease:
        return ReleaseProtocol(ledger, client, model, policy, lease).settle()


def _is_same_rollback(interrupted: Release, to: int | None, reason: str, actor: str) -> bool:
    """Return whether an interrupted release is the rollback that is requested again.

    While only its intent is recorded, the champion that the caller saw is the one that it replaces, so any rollback
    from there is the same. Once it is champion itself, only a repetition of the request is.
    """
    if interrupted.kind != "rollback" or to not in {None, interrupted.version}:
        return False
    return interrupted.state == "intent" or (interrupted.reason, interrupted.actor) == (reason, actor)


def _is_unanswered(current: Release, killed: Sequence[Lease], to: int | None, reason: str, actor: str) -> bool:
    """Return whether the rollback that is requested was made by a process that was killed before it said so."""
    same = current.kind == "rollback" and (current.reason, current.actor) == (reason, actor)
    return same and to in {None, current.version} and any(current.at >= one.acquired_at for one in killed)


def _check_still(current: Release, intended: bool) -> None:
    """Refuse to roll back a release other than the intended one."""
    if not intended:
        raise LedgerError(
            f"the champion of {current.model!r} is now version {current.version} (release {current.seq}, by "
            f"{current.actor}), which is not the release to be rolled back; nothing was rolled back. Check it, then "
            "roll back again or give a version with --to"
        )


def _before(ledger: Ledger, model: str) -> int:
    line = succession(ledger.releases.of(model))
    if len(line) < 2:
        raise LedgerError(
            f"model {model!r} had no champion before version {line[-1].version}; give a version with --to"
        )
    return line[-2].version
