"""The steps of a release and their repair after a crash, under the model's release lease.

The registry has no compare-and-swap and no history, so the ledger is written before and after it:

1. The intent is recorded in the ledger, by compare-and-swap on the current release.
2. The alias is set in the registry.
3. The ledger records that. From here on the version counts as the champion.
4. The services are asked which version they serve, and the release is verified.

A release that was killed after step 1 is finished: it was decided, and the moment of the crash must not change the
result. It is undone if somebody has moved the alias since, or if the version is not served. No other release runs
between the steps: each needs the lease, and the ledger refuses a process that has lost it.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError, BusyError, LedgerError, ModelError
from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import HeldLease, Ledger, Release
from everfit.tasks.ledger.chain_signatures import sign_release
from everfit.tasks.ledger.records import ReleaseState
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.registry.version_card import add_outcome
from everfit.tasks.release.champions import succession
from everfit.tasks.release.serving_verification import why_not_served

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEASE_WAIT = timedelta(seconds=30)
"""How much longer than the allowed time to wait for another release."""

_INTERRUPTED = "interrupted; "
"""Begins the note of a release that another process undid: the first one's request for the alias may still arrive."""


@dataclass(frozen=True)
class ReleaseProtocol:
    """The steps of a release, for the holder of a model's release lease."""

    ledger: Ledger
    client: "MlflowClient"
    model: str
    policy: ReleasePolicy
    lease: HeldLease

    def carry_out(self, entry: Release, note: str = "") -> Release:
        """Carry out a recorded intent.

        Args:
            entry: The intent.
            note: Beginning of the note of a release that is undone.

        Raises:
            BusyError: The lease was lost meanwhile.
            LedgerError: Somebody moved the alias after the intent was recorded.
            ModelError: The version isn't served. A promotion was undone then; a rollback was not.
        """
        self.lease.confirm()  # No other process releases within the next minute.
        aliased = self._aliased()
        # A request of the interrupted process may have arrived since; the alias names the version already then.
        if aliased not in {entry.previous_version, entry.version}:
            self._advance(entry, "undone", f"{note}the alias was moved to {aliased}")
            raise LedgerError(
                f"the champion alias of {self.model!r} was moved from version {entry.previous_version} to {aliased} by "
                "somebody else; nothing was released. Check the alias and try again"
            )
        model_registry.set_alias(self.client, self.model, model_registry.CHAMPION, entry.version)
        try:
            entry = self.ledger.releases.advance(entry, "alias_set", lease=self.lease)
        except BusyError:
            self._give_alias_back(entry)
            raise
        problem = self._check(entry, self.policy.verify_timeout)
        if problem is None:
            return self._verified(entry)
        if entry.kind != "promotion":  # The version that it replaces is bad or deleted, so it stays replaced.
            raise self._not_served(entry, problem)
        self._undo(entry, note + problem)
        raise ModelError(
            f"version {entry.version} of {self.model!r} was released but is not served: {problem}; "
            f"the champion is version {entry.previous_version} again"
        )

    def require_served(self, entry: Release) -> Release:
        """Verify a rollback whose alias is set already.

        Raises:
            ModelError: The version isn't served; it stays the champion.
        """
        problem = self._check(entry, self.policy.verify_timeout)
        if problem is not None:
            raise self._not_served(entry, problem)
        return self._verified(entry)

    def _not_served(self, entry: Release, problem: str) -> ModelError:
        return ModelError(
            f"the champion of {self.model!r} is version {entry.version} again, but it is not served: "
            f"{problem}; check the service, then run `everfit reconcile {self.model}`"
        )

    def settle(self) -> list[str]:
        """Finish or undo an interrupted release, and record an alias that was moved by hand.

        Returns:
            A sentence for each change.
        """
        done = self._settle_open()
        done += self._follow_alias()
        self._drop_challenger()
        return done

    def _settle_open(self) -> list[str]:
        entry = self.ledger.releases.unfinished(self.model)
        return [] if entry is None else [self._settle(entry, f"release {entry.seq} (version {entry.version})")]

    def _settle(self, entry: Release, name: str) -> str:
        aliased = self._aliased()
        if entry.state == "intent":
            if self._still_there(entry) is None:
                self._advance(entry, "undone", f"{_INTERRUPTED}version {entry.version} was deleted from the registry")
                return f"undid {name}: the version was deleted outside of everfit before it became champion"
            if aliased == entry.previous_version:
                return self._finish(entry, name)
        if aliased != entry.version:
            self._advance(entry, "undone", f"{_INTERRUPTED}the alias names {aliased}")
            return f"undid {name}: it was interrupted, and the alias names {_version(aliased)}"
        if entry.state == "intent":
            entry = self._advance(entry, "alias_set", "finished by the reconciler")
        # A rollback is not undone, so it need not wait for the services again.
        problem = self._check(entry, self.policy.verify_timeout if entry.kind == "promotion" else timedelta(0))
        if problem is None:
            self._verified(entry)
            return f"finished {name}: the alias names it, and it is served"
        if entry.kind != "promotion":
            return f"left {name} unverified: {problem}"
        self._undo(entry, _INTERRUPTED + problem)
        return f"undid {name}: {problem}"

    def _finish(self, entry: Release, name: str) -> str:
        try:
            target = model_registry.model_version(self.client, self.model, entry.version)
            model_files.check(self.client, self.ledger, target)
        except ArtifactError as error:
            self._advance(entry, "undone", f"{_INTERRUPTED}{error}")
            return f"undid {name}: {error}"
        try:
            self.carry_out(entry, _INTERRUPTED)
        except ModelError as error:
            return f"tried to finish {name}: {error}"
        return f"finished {name}: it was decided, and interrupted before the alias was set"

    def _follow_alias(self) -> list[str]:
        current, champion = self.ledger.releases.current(self.model), model_registry.champion(self.client, self.model)
        if champion is None:
            return [] if current is None else self._set_alias_again(current)
        if current is not None and is_of(current, champion):
            return []
        if (late := self._late(champion, current)) is not None:
            return [self._undo_late(late, current)]
        origin = f"from version {current.version} " if current else ""
        reason = f"the champion alias was moved {origin}to version {champion.version} outside of everfit"
        self.ledger.releases.record_outside(
            champion, expected_previous=current.seq if current else None, reason=reason, lease=self.lease
        )
        return [f"recorded an outside release: {reason}"]

    def _late(self, champion: ModelVersion, current: Release | None) -> Release | None:
        """Return the undone release whose own request for the alias arrived after it was undone, or None."""
        since = 0 if current is None else current.seq
        for entry in reversed(self.ledger.releases.of(self.model)):
            if entry.seq > since and entry.state == "undone" and is_of(entry, champion):
                return entry if entry.note.startswith(_INTERRUPTED) else None
        return None

    def _undo_late(self, late: Release, current: Release | None) -> str:
        before = None if current is None or self._still_there(current) is None else current.version
        self.lease.confirm()
        model_registry.set_alias(self.client, self.model, model_registry.CHAMPION, before)
        # Once is enough: a process sets it once, so a second time it is a person who wants this version.
        note = f"undone by the reconciler, after its alias had been set late; {late.note.removeprefix(_INTERRUPTED)}"
        self.ledger.releases.add_note(late, note, lease=self.lease)
        return (
            f"gave the champion alias back to {_version(before)}: the interrupted process of release {late.seq} "
            f"(version {late.version}) had set it after that release was undone"
        )

    def _set_alias_again(self, current: Release) -> list[str]:
        """Set a deleted alias again: to its version, or to the last good champion if the version was deleted too."""
        releases = self.ledger.releases.of(self.model)
        for former in reversed(succession(releases)):
            target = self._still_there(former)
            if target is None:
                continue
            same = former.version == current.version
            lost = "the champion alias was deleted" if same else f"version {current.version} was deleted"
            entry = self.ledger.releases.intend(
                target,
                expected_previous=current.seq,
                previous_version=None,
                kind="outside" if same else "rollback",
                reason=f"{lost} outside of everfit; the alias was set to version {target.version}",
                actor="unknown" if same else "everfit",
                lease=self.lease,
            )
            self.carry_out(entry)
            return [f"recorded an outside release: {entry.reason}"]
        # No champion is left. The newest release is undone first, so that no earlier one becomes current meanwhile.
        for former in reversed(releases):
            if former.state in {"alias_set", "verified"}:
                self._advance(former, "undone", "deleted from the registry outside of everfit")
        return [f"model {self.model!r} no longer has a champion: all its versions were deleted outside of everfit"]

    def _still_there(self, former: Release) -> ModelVersion | None:
        if former.version not in model_registry.versions(self.client, self.model):
            return None
        target = model_registry.model_version(self.client, self.model, former.version)
        return target if is_of(former, target) else None

    def _check(self, entry: Release, within: timedelta) -> str | None:
        return why_not_served(self.client, self.model, entry.version, self.policy.services, within)

    def _verified(self, entry: Release) -> Release:
        entry = self._advance(entry, "verified", "")
        sign_release(self.ledger, self.model, entry.seq)
        self._drop_challenger()
        if entry.kind == "rollback":
            self._note_rollback(entry)
        return entry

    def _note_rollback(self, entry: Release) -> None:
        """Bring the cards of both versions up to date."""
        if entry.previous_version is not None:
            left = f"Rolled back at {entry.at:%Y-%m-%d %H:%M} UTC by {entry.actor}: {entry.reason}"
            add_outcome(self.client, self.model, entry.previous_version, left)
        again = f"Champion again since {entry.at:%Y-%m-%d %H:%M} UTC, by {entry.actor}: {entry.reason}"
        add_outcome(self.client, self.model, entry.version, again)

    def _undo(self, entry: Release, reason: str) -> None:
        previous = entry.previous_version
        if previous not in model_registry.versions(self.client, self.model):
            previous = None  # It was deleted meanwhile; `settle` decides about the champion.
        self.lease.confirm()
        model_registry.set_alias(self.client, self.model, model_registry.CHAMPION, previous)
        self._advance(entry, "undone", reason)

    def _advance(self, entry: Release, state: ReleaseState, note: str) -> Release:
        return self.ledger.releases.advance(entry, state, lease=self.lease, note=note)

    def _drop_challenger(self) -> None:
        """Remove the challenger alias from the version that became champion."""
        challenger = model_registry.challenger(self.client, self.model)
        if challenger is not None and challenger.version == self._aliased():
            model_registry.set_alias(self.client, self.model, model_registry.CHALLENGER, None)

    def _aliased(self) -> int | None:
        champion = model_registry.champion(self.client, self.model)
        return None if champion is None else champion.version

    def _give_alias_back(self, entry: Release) -> None:
        """Restore the alias that this process set after another had taken the lease over, and undone this release."""
        with self.ledger.leases.hold(self.model, scope="release", wait=LEASE_WAIT + self.policy.verify_timeout):
            current = self.ledger.releases.current(self.model)
            replaced = current is None or current.seq != entry.seq
            if replaced and self._aliased() == entry.version:
                before = None if current is None else current.version
                model_registry.set_alias(self.client, self.model, model_registry.CHAMPION, before)


def is_settled(ledger: Ledger, client: "MlflowClient", model: str) -> bool:
    """Return whether ledger and registry agree and no release is under way."""
    if ledger.releases.unfinished(model) is not None:
        return False
    current, champion = ledger.releases.current(model), model_registry.champion(client, model)
    if current is None or champion is None:
        return current is None and champion is None
    challenger = model_registry.challenger(client, model)
    return is_of(current, champion) and (challenger is None or challenger.version != champion.version)


def is_of(entry: Release, version: ModelVersion) -> bool:
    """Return whether a release is of that version; the registry reuses the number of a deleted last version."""
    return (entry.version, entry.run_id) == (version.version, version.run_id)


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
