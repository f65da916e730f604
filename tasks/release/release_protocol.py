"""The steps of a release, and what to do about those that a crash has left; all under the model's release lease.

The registry has no compare-and-swap and no history, so the ledger is asked first and told afterwards:

1. the intent is written to the ledger (compare-and-swap on the current release),
2. the alias is set in the registry,
3. that is written to the ledger; from here on it counts as the champion,
4. what is served is asked for, and the release is verified.

Killed anywhere after 1, a release is finished: it was decided, and whether the crash came before or after the alias is
set must not change what becomes of it. It is undone if somebody has moved the alias since, or if it is not served.
Nobody else is between the steps, for each is taken under the lease, and the ledger refuses those who have lost it.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from everfit.blocks.errors import BusyError, LedgerError, ModelError
from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import HeldLease, Ledger, Release
from everfit.tasks.ledger.records import ReleaseState
from everfit.tasks.registry import model_registry
from everfit.tasks.release.champions import succession
from everfit.tasks.release.serving_verification import why_not_served

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEASE_WAIT = timedelta(seconds=30)
"""How much longer than a release may take it is waited for."""


@dataclass(frozen=True)
class Releaser:
    """Whoever holds the release lease of a model."""

    ledger: Ledger
    client: "MlflowClient"
    model: str
    policy: ReleasePolicy
    lease: HeldLease

    def carry_out(self, entry: Release) -> Release:
        """Do what an intent says.

        Raises:
            BusyError: the lease was lost on the way.
            LedgerError: somebody moved the alias since the intent was written.
            ModelError: the version isn't served. A promotion has been undone then, anything else has not.
        """
        self.lease.confirm()  # No other releaser for the next minute, then.
        found = self._aliased()
        if found != entry.previous_version:
            self.ledger.releases.advance(entry, "undone", lease=self.lease, note=f"the alias had gone to {found}")
            raise LedgerError(
                f"the champion alias of {self.model!r} was moved from version {entry.previous_version} to {found} by "
                "somebody else; nothing was released, look at it and try again"
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
        if entry.kind != "promotion":  # What it replaces is known to be bad, or gone: not to be gone back to.
            raise ModelError(
                f"the champion of {self.model!r} is version {entry.version} again, but that is not what is served: "
                f"{problem}; look at the service, `everfit reconcile {self.model}` asks it again"
            )
        self._undo(entry, problem)
        raise ModelError(
            f"version {entry.version} of {self.model!r} was released but is not what is served: {problem}; "
            f"the champion is version {entry.previous_version} again"
        )

    def settle(self) -> list[str]:
        """Finish or undo what a crash has left, and follow an alias that was moved by hand.

        Returns:
            What was done, in words.
        """
        done = self._settle_open()
        done += self._follow_alias()
        self._drop_challenger()
        return done

    def _settle_open(self) -> list[str]:
        entry = self.ledger.releases.unfinished(self.model)
        return [] if entry is None else [self._settle(entry, f"release {entry.seq} (version {entry.version})")]

    def _settle(self, entry: Release, name: str) -> str:
        found = self._aliased()
        if entry.state == "intent":
            if self._still_there(entry) is None:
                self._advance(entry, "undone", f"version {entry.version} was deleted from the registry")
                return f"undid {name}: the version was deleted outside of everfit before it became champion"
            if found == entry.previous_version:
                return self._finish(entry, name)
        if found != entry.version:
            self._advance(entry, "undone", f"broken off; the alias names {found}")
            return f"undid {name}: it was broken off, and the alias names {_version(found)}"
        if entry.state == "intent":
            entry = self._advance(entry, "alias_set", "finished by the reconciler")
        # What isn't undone anyway need not be waited for once more.
        problem = self._check(entry, self.policy.verify_timeout if entry.kind == "promotion" else timedelta(0))
        if problem is None:
            self._verified(entry)
            return f"finished {name}: the alias names it, and it is served"
        if entry.kind != "promotion":
            return f"left {name} unverified: {problem}"
        self._undo(entry, problem)
        return f"undid {name}: {problem}"

    def _finish(self, entry: Release, name: str) -> str:
        try:
            self.carry_out(entry)
        except ModelError as error:
            return f"tried to finish {name}: {error}"
        return f"finished {name}: it was decided, and broken off before the alias was set"

    def _follow_alias(self) -> list[str]:
        current, found = self.ledger.releases.current(self.model), model_registry.champion(self.client, self.model)
        if found is None:
            return [] if current is None else self._set_alias_again(current)
        if current is not None and is_of(current, found):
            return []
        was = f"from version {current.version} " if current else ""
        reason = f"the champion alias was moved {was}to version {found.version} outside of everfit"
        self.ledger.releases.record_outside(
            found, expected_previous=current.seq if current else None, reason=reason, lease=self.lease
        )
        return [f"recorded an outside release: {reason}"]

    def _set_alias_again(self, current: Release) -> list[str]:
        """There must be a champion: the alias was deleted, or the version with it, so the last good one it is."""
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
        # No champion is left. Newest first, so that none of them becomes the current one on the way.
        for former in reversed(releases):
            if former.state in {"alias_set", "verified"}:
                self._advance(former, "undone", "deleted from the registry outside of everfit")
        return [f"model {self.model!r} has no champion any more: all its versions were deleted outside of everfit"]

    def _still_there(self, former: Release) -> ModelVersion | None:
        if former.version not in model_registry.versions(self.client, self.model):
            return None
        target = model_registry.model_version(self.client, self.model, former.version)
        return target if is_of(former, target) else None

    def _check(self, entry: Release, within: timedelta) -> str | None:
        return why_not_served(self.client, self.model, entry.version, self.policy.services, within)

    def _verified(self, entry: Release) -> Release:
        entry = self._advance(entry, "verified", "")
        self._drop_challenger()
        return entry

    def _undo(self, entry: Release, why: str) -> None:
        previous = entry.previous_version
        if previous not in model_registry.versions(self.client, self.model):
            previous = None  # Deleted meanwhile; what the champion is then, `settle` finds out.
        self.lease.confirm()
        model_registry.set_alias(self.client, self.model, model_registry.CHAMPION, previous)
        self._advance(entry, "undone", why)

    def _advance(self, entry: Release, state: ReleaseState, note: str) -> Release:
        return self.ledger.releases.advance(entry, state, lease=self.lease, note=note)

    def _drop_challenger(self) -> None:
        """The challenger that won is one no more."""
        challenger = model_registry.challenger(self.client, self.model)
        if challenger is not None and challenger.version == self._aliased():
            model_registry.set_alias(self.client, self.model, model_registry.CHALLENGER, None)

    def _aliased(self) -> int | None:
        found = model_registry.champion(self.client, self.model)
        return None if found is None else found.version

    def _give_alias_back(self, entry: Release) -> None:
        """This process slept through its lease and set the alias over somebody else's release: put that back."""
        with self.ledger.leases.hold(self.model, scope="release", wait=LEASE_WAIT + self.policy.verify_timeout):
            current = self.ledger.releases.current(self.model)
            if current is not None and current.seq != entry.seq and self._aliased() == entry.version:
                model_registry.set_alias(self.client, self.model, model_registry.CHAMPION, current.version)


def is_settled(ledger: Ledger, client: "MlflowClient", model: str) -> bool:
    """Whether ledger and registry agree and nothing is under way."""
    if ledger.releases.unfinished(model) is not None:
        return False
    current, found = ledger.releases.current(model), model_registry.champion(client, model)
    if current is None or found is None:
        return current is None and found is None
    challenger = model_registry.challenger(client, model)
    return is_of(current, found) and (challenger is None or challenger.version != found.version)


def is_of(entry: Release, found: ModelVersion) -> bool:
    """Whether a release is of that version; the registry gives the number of a deleted last version once more."""
    return (entry.version, entry.run_id) == (found.version, found.run_id)


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
