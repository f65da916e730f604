"""Failed turns: how many in a row, and when the next turn may start. Pure.

A turn that failed, or whose data was rejected, shows nothing about whether training helps, so it is no attempt in vain.
But a turn that fails each time should not repeat in every window either.
"""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import AwareDatetime

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.triage.history import PastTurn


class FailureStreak(Record):
    """The newest turns of a model that failed one after another.

    Attributes:
        turns: The failed turns, oldest first.
        again: When the next turn may start automatically.
        too_many: Whether there are so many that a person is notified.
    """

    turns: tuple[PastTurn, ...]
    again: AwareDatetime
    too_many: bool

    @property
    def summary(self) -> str:
        """The failures and the next step, in one sentence."""
        last, count = self.turns[-1], len(self.turns)
        failed = "the last turn failed" if count == 1 else f"the last {count} turns failed, the newest of them"
        fix = "fix the cause and run `everfit train`; " if self.too_many else ""
        return (
            f"{failed} ({last.turn_id}: {last.reason or 'the reason is unknown'}); {fix}"
            f"the next automatic attempt is at {self.again:%Y-%m-%d %H:%M}"
        )


def failure_streak(turns: Sequence[PastTurn], policy: RetrainingPolicy) -> FailureStreak | None:
    """Return the turns that have failed since the last success; None if the newest turn succeeded.

    The wait grows by `back_off_factor` after each failure. From `max_failures` failures on, one turn is tried per span
    of the budget, so that a cause that goes away by itself is noticed. Rejected data is no fault of the training and
    may improve at any time: with a factor of 2, the wait is about as long as the data has been bad.

    Args:
        turns: The model's turns, in any order; open ones, and those of a user's own flow, are left out.
        policy: How long to wait.
    """
    over = sorted(
        (turn for turn in turns if not turn.in_flight and turn.outcome != "other"),
        key=lambda turn: (turn.until, turn.turn_id),
    )
    last_success = max((place for place, turn in enumerate(over) if not turn.has_failed), default=-1)
    failed = over[last_success + 1 :]
    if not failed:
        return None
    longest = max(policy.budget.per, policy.failure_back_off)
    crashes = sum(turn.outcome == "failed" for turn in failed)
    wait = longest if crashes >= policy.max_failures else policy.failure_back_off
    for _ in failed[1:]:
        wait = timedelta(seconds=min(wait.total_seconds() * policy.back_off_factor, longest.total_seconds()))
    too_many = len(failed) >= policy.max_failures
    return FailureStreak(turns=tuple(failed), again=failed[-1].until + wait, too_many=too_many)
