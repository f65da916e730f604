"""Turns that broke off, or whose data was refused: how many in a row, and from when on it is tried again. Pure.

Such a turn has shown nothing of whether training helps, so it is no attempt in vain; but what breaks each time isn't to
be repeated at every look either.
"""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import AwareDatetime

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.records import Record
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
        last = self.turns[-1]
        row = f"{len(self.turns)} turns in a row broke off, the last" if len(self.turns) > 1 else "the last turn"
        mend = "; mend that and run `everfit train`" if self.too_many else ""
        return (
            f"{row}, {last.turn_id}, for: {last.why or 'a reason that is not known'}{mend}; "
            f"it is tried again by itself from {self.again:%Y-%m-%d %H:%M} on"
        )


def failures(turns: Sequence[PastTurn], policy: RetrainingPolicy) -> Failures | None:
    """The turns that broke off since the last one that came through; none if that is the newest.

    Each further one is waited after for longer, by `back_off_factor`; from `max_failures` on one is tried in a span of
    the budget, so that what mends itself is seen to be mended.

    Args:
        turns: Of a model, in any order; those that are open yet say nothing.
        policy: How long to wait.
    """
    over = sorted((turn for turn in turns if not turn.in_flight), key=lambda turn: (turn.until, turn.turn_id))
    came_through = max((place for place, turn in enumerate(over) if not turn.broke_off), default=-1)
    row = over[came_through + 1 :]
    if not row:
        return None
    longest = max(policy.budget.per, policy.failure_back_off)
    too_many = len(row) >= policy.max_failures
    seconds = policy.failure_back_off.total_seconds() * policy.back_off_factor ** (len(row) - 1)
    wait = longest if too_many else timedelta(seconds=min(seconds, longest.total_seconds()))
    return Failures(turns=tuple(row), again=row[-1].until + wait, too_many=too_many)
