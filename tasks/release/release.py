"""Release: make a version the champion, go back to a former one, and put right what a crash has left."""

from typing import TYPE_CHECKING

from everfit.blocks.errors import LedgerError
from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.ledger import Ledger, Release, Turn
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.release.champions import succession
from everfit.tasks.release.release_protocol import LEASE_WAIT, Releaser, is_settled

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
    """Make a version the champion, exactly once, or leave everything as it was.

    A turn that was killed while it released and is run again gets the release that it made.

    Args:
        ledger: Where releases are journalled.
        client: Of the model registry.
        model: Name of the model.
        version: The version to be made champion.
        expected_previous: `seq` of the release that was current when this one was decided; none if there was none.
        reason: Why, in words.
        actor: Who decided: a person, or everfit's gate.
        turn: The turn that decided; its lease must still be held.
        policy: Who must be seen to serve the version, and how long that may take.

    Returns:
        The verified release.

    Raises:
        BusyError: another release of the model is under way, or the turn's lease was lost.
        LedgerError: another release came in between, or the version is the champion already.
        ModelError: the version is unknown, or was not served and has been taken back.
    """
    policy = policy or ReleasePolicy()
    turn_id = turn.id if turn else None
    wait = policy.verify_timeout + LEASE_WAIT
    with ledger.leases.hold(model, scope="release", holder=actor, turn_id=turn_id, wait=wait) as lease:
        releaser = Releaser(ledger, client, model, policy, lease)
        releaser.settle()
        if turn is not None and (made := ledger.releases.of_turn(turn.id)) and made.version == version:
            return made
        target = model_registry.model_version(client, model, version)
        current = ledger.releases.current(model)
        if current is not None and current.version == version:
            raise LedgerError(
                f"version {version} is the champion of {model!r} already (release {current.seq}); nothing to do"
            )
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
        return releaser.carry_out(entry)


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
) -> Release:
    """Make a former champion the champion again, after making sure that it loads and answers.

    It doesn't wait for a turn that is running: that turn's own release is refused afterwards, as it was decided against
    another champion.

    Args:
        ledger: Where releases are journalled.
        client: Of the model registry.
        model: Name of the model.
        reason: Why, in words.
        actor: Who decided.
        to: The version to go back to; by default the champion before this one.
        expected_previous: `seq` of the release that is to be taken back; another one is left alone. By default, where
            no version is named, the one that is current when this is called, or an alias that was moved by hand.
        rows: What to ask it about first; by default the example that it was logged with.
        policy: Who must be seen to serve the version, and how long that may take.

    Returns:
        The verified release.

    Raises:
        BusyError: a release of the model is under way.
        LedgerError: there is no champion, none before it, the version is the champion, or another release came in
            between.
        ModelError: the version is unknown, can't be loaded, doesn't answer, or isn't served.
    """
    policy = policy or ReleasePolicy()
    wait = policy.verify_timeout + LEASE_WAIT
    seen = ledger.releases.current(model)  # before others are waited for, who may release something else
    with ledger.leases.hold(model, scope="release", holder=actor, wait=wait) as lease:
        releaser = Releaser(ledger, client, model, policy, lease)
        releaser.settle()
        current = ledger.releases.current(model)
        if current is None:
            raise LedgerError(f"model {model!r} has no champion to roll back; train it first")
        if expected_previous is not None:
            _check_still(current, current.seq == expected_previous)
        elif to is None:
            since = [entry for entry in ledger.releases.of(model) if seen is None or entry.seq > seen.seq]
            by_hand = current in since and all(entry.kind == "outside" for entry in since)
            _check_still(current, by_hand or (seen is not None and current.seq == seen.seq))
        version = _before(ledger, model) if to is None else to
        if version == current.version:
            raise LedgerError(
                f"version {version} is the champion of {model!r} already (release {current.seq}); "
                "name another with --to, or none for the one before"
            )
        target = model_registry.model_version(client, model, version)
        model_files.probe(client, target, rows)
        entry = ledger.releases.intend(
            target,
            expected_previous=current.seq,
            previous_version=current.version,
            kind="rollback",
            reason=reason,
            actor=actor,
            lease=lease,
        )
        return releaser.carry_out(entry)


def reconcile(ledger: Ledger, client: "MlflowClient", model: str, *, policy: ReleasePolicy | None = None) -> list[str]:
    """Put right what a crash has left of a release, and record an alias that was moved by hand.

    Afterwards the champion alias names what the ledger says. Safe to run at any time, by many at once, and to kill.

    Args:
        ledger: Where releases are journalled.
        client: Of the model registry.
        model: Name of the model.
        policy: Who must be seen to serve a champion, and how long that may take.

    Returns:
        What was done, in words; nothing in the usual case, for which no lease is taken.

    Raises:
        BusyError: a release is under way and goes on for longer than it may.
        LedgerError: the ledger doesn't answer.
        ModelError: the registry doesn't answer.
    """
    if is_settled(ledger, client, model):
        return []
    policy = policy or ReleasePolicy()
    with ledger.leases.hold(model, scope="release", wait=policy.verify_timeout + LEASE_WAIT) as lease:
        return Releaser(ledger, client, model, policy, lease).settle()


def _check_still(current: Release, meant: bool) -> None:
    """Refuse to take back a release that is not the one that was meant."""
    if not meant:
        raise LedgerError(
            f"the champion of {current.model!r} is version {current.version} by now (release {current.seq}, by "
            f"{current.actor}), which is not the release that was to be taken back; nothing was rolled back: look at "
            "it, and ask again or name a version with --to"
        )


def _before(ledger: Ledger, model: str) -> int:
    line = succession(ledger.releases.of(model))
    if len(line) < 2:
        raise LedgerError(
            f"model {model!r} has had no champion before version {line[-1].version}; name a version with --to"
        )
    return line[-2].version
