"""Turns that broke off, or whose data was refused: how many in a row, and from when on it is tried again. Pure.

Such a turn has shown nothing of whether training helps, so it is no attempt in vain; but what breaks each time isn't to
be repeated at every look either.
"""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import AwareDatetime

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.triage.history import PastTurn


class Failures(Record):
    """Turns that broke off one after another, the newest ones of a model.

    Attributes:
        turns: They, oldest first.
        again: From when on the next turn may start by itself.
        too_many: Whether there are so many that a person is to look.
    """

    turns: tuple[PastTurn, ...]
    again: AwareDatetime
    too_many: bool

    @property
    def words(self) -> str:
        """What happened, and what is done about it."""
        last, count = self.turns[-1], len(self.turns)
        row = "the last turn broke off" if count == 1 else f"{count} turns in a row broke off, the last of them"
        mend = "mend that and run `everfit train`; " if self.too_many else ""
        return (
            f"{row} ({last.turn_id}: {last.why or 'nobody knows why'}); {mend}"
            f"it is tried again by itself from {self.again:%Y-%m-%d %H:%M} on"
        )


def failures(turns: Sequence[PastTurn], policy: RetrainingPolicy) -> Failures | None:
    """The turns that broke off since the last one that came through; none if that is the newest.

    Each further one is waited after for longer, by `back_off_factor`. Where `max_failures` of them have failed one is
    tried in a span of the budget, so that what mends itself is seen to be mended. Rejected data is no fault of the
    training and may be better at any time: with a factor of 2 it is waited for about as long as it has been bad.

    Args:
        turns: Of a model, in any order; those that are open, and those of a user's own flow, are passed over.
        policy: How long to wait.
    """
    over = sorted(
        (turn for turn in turns if not turn.in_flight and turn.outcome != "other"),
        key=lambda turn: (turn.until, turn.turn_id),
    )
    came_through = max((place for place, turn in enumerate(over) if not turn.broke_off), default=-1)
    row = over[came_through + 1 :]
    if not row:
        return None
    longest = max(policy.budget.per, policy.failure_back_off)
    crashes = sum(turn.outcome == "failed" for turn in row)
    wait = longest if crashes >= policy.max_failures else policy.failure_back_off
    for _ in row[1:]:
        wait = timedelta(seconds=min(wait.total_seconds() * policy.back_off_factor, longest.total_seconds()))
    return Failures(turns=tuple(row), again=row[-1].until + wait, too_many=len(row) >= policy.max_failures)
