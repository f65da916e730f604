"""A challenger that was kept only for want of evidence waits, and is judged again by more rows. Pure.

It is ahead of the champion, but not certainly. The rows whose labels come later are unseen by both models, so they are
judged on together with the hold-out of its turn. Each judgement is a try of its own: the error that all tries of a
champion's life may make together holds for these as well.
"""

from collections.abc import Sequence

from pydantic import Field

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.records import Record
from everfit.tasks.gate.evidence import Check, Evidence

MOST_LOOKS = 6
"""After this many judgements in vain, the rows have about quadrupled,
and a newer challenger would be the better one."""

_WANT_OF_EVIDENCE = {"comparison", "hold-out size"}
"""The checks that more rows may pass."""


class Waiting(Record):
    """A challenger that waits for evidence."""

    version: int = Field(description="The challenger in the registry.")
    champion: int = Field(description="The version of the champion that it is compared with.")
    turn_id: str = Field(description="The turn that trained it.")
    looks: int = Field(default=0, description="How often it has been judged since that turn.")
    rows: int = Field(description="The rows that it was last judged by.")
    lacks: str = Field(description="The evidence that it lacks, in words.")

    @property
    def summary(self) -> str:
        """Which challenger waits, and for what, in one sentence."""
        return f"Version {self.version} waits for evidence and is judged again as labels come: {self.lacks}"


def may_wait(evidence: Evidence, failed: Sequence[Check], policy: GatePolicy) -> bool:
    """Return whether a challenger that the gate kept out is ahead of the champion and lacks nothing but rows.

    Args:
        evidence: The evidence.
        failed: The checks that did not pass.
        policy: The policy of the gate.
    """
    paired = evidence.comparison
    if not policy.wait_for_evidence or paired is None or evidence.sampled:
        return False
    bound = policy.min_gain if policy.margin is None else -policy.margin
    return paired.difference > bound and {check.name for check in failed} <= _WANT_OF_EVIDENCE


def begin_to_wait(turn_id: str, evidence: Evidence, reason: str) -> Waiting | None:
    """Return the challenger of a turn as one that waits; None without a champion or a registered version.

    Args:
        turn_id: The turn that trained it.
        evidence: As the gate has judged it.
        reason: The evidence that it lacks.
    """
    if evidence.champion_version is None or evidence.challenger_version is None:
        return None
    return Waiting(
        version=evidence.challenger_version,
        champion=evidence.champion_version,
        turn_id=turn_id,
        rows=evidence.holdout_rows,
        lacks=reason,
    )


def wait_on(waiting: Waiting, evidence: Evidence, reason: str, *, waits: bool) -> Waiting | str:
    """Return how a challenger waits on after a judgement that did not release it, or why it does not.

    Args:
        waiting: As it waited before.
        evidence: As the gate has judged it now.
        reason: The evidence that it lacks.
        waits: Whether it still lacks nothing but evidence.
    """
    looks = waiting.looks + 1
    if not waits:
        return f"Version {waiting.version} stopped waiting: more rows have not shown it to be better"
    if looks >= MOST_LOOKS:
        return f"Version {waiting.version} stopped waiting: it was judged {looks} times in vain, and is out of date"
    return waiting.model_copy(update={"looks": looks, "rows": evidence.holdout_rows, "lacks": reason})
