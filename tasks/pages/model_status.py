"""The state of a model at a moment, as the pages and `everfit status` show it."""

from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.tasks.core.figures import as_known
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import Turn
from everfit.tasks.pages.asks import Ask
from everfit.tasks.pages.looks import LookSummary
from everfit.tasks.pages.risk import Risk
from everfit.tasks.pages.states import STATES, ModelState, StateDeclaration


class Quality(Record):
    """Live quality against the expected one.

    Attributes:
        until: The end of the window that it was measured in.
        low: The lower end of its interval at 95 %.
        high: The upper end.
        expected: From the champion's hold-out.
        bound: The worst value that is no loss.
    """

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    rows: int | None = None
    expected: float | None = None
    bound: float | None = None
    until: AwareDatetime
    sentence: str = ""

    @property
    def half(self) -> float | None:
        """Half the width of the interval; None if that is not known."""
        return None if self.low is None else self.value - self.low

    @property
    def shortfall(self) -> float | None:
        """The difference to the expected value as a share of the one that is no loss; negative if it is better."""
        if self.expected is None or self.bound is None or self.expected == self.bound:
            return None
        return (self.expected - self.value) / (self.expected - self.bound)

    @property
    def figure(self) -> str:
        """The value with its interval, with as many digits as are known."""
        return f"{as_known(self.value, self.half)}{'' if self.half is None else f' ± {as_known(self.half, self.half)}'}"

    @property
    def levels(self) -> str:
        """The levels that it is compared with."""
        expected = "" if self.expected is None else f"{as_known(self.expected, self.half)} expected"
        bound = "" if self.bound is None else f"{as_known(self.bound, self.half)} at worst"
        return ", ".join(filter(None, (expected, bound)))

    @property
    def summary(self) -> str:
        """The figures in a few words."""
        return "; ".join(filter(None, (f"{self.metric} {self.figure}", self.levels)))


class Limits(Record):
    """The limits that hold back automatic turns.

    Attributes:
        cooldown_until: When the cooldown is over; None if it is.
        spent: The turns that count for the budget now.
        budget: The turns that may start by themselves within the span.
        per: The span.
    """

    cooldown_until: AwareDatetime | None = None
    spent: int
    budget: int
    per: str

    @property
    def left(self) -> str:
        """The turns that are left, of how many."""
        return f"{max(self.budget - self.spent, 0)} of {self.budget}"

    @property
    def cooldown(self) -> str:
        """Until when the next turn must wait, in words."""
        return "no cooldown" if self.cooldown_until is None else f"cooldown until {moment(self.cooldown_until)}"

    @property
    def summary(self) -> str:
        """The limits in one sentence."""
        return f"{self.left} automatic turns in {self.per} are left; {self.cooldown}"


class ModelStatus(Record):
    """The state of a model at a moment.

    Attributes:
        reason: Why it is in this state.
        next: The next step, where something is missing.
        champion: The version of the champion.
        champion_since: When its release was decided.
        champion_by: The person or part of everfit that released it.
        last_look: The newest look.
        turn_summary: The newest turn and its reason, in words.
        risk: The risk of the champion, reassessed by what the newest looks found.
        asks: Approvals and problems that wait for a person.
    """

    model: str
    until: AwareDatetime
    state: ModelState
    reason: str = ""
    next: str = ""
    champion: int | None = None
    champion_since: AwareDatetime | None = None
    champion_by: str = ""
    quality: Quality | None = None
    quality_unknown: str = Field(default="", description="Why live quality is not known; empty if it is.")
    last_look: LookSummary | None = None
    last_turn: Turn | None = None
    turn_summary: str = ""
    limits: Limits | None = None
    risk: Risk | None = None
    asks: tuple[Ask, ...] = ()

    @property
    def declaration(self) -> StateDeclaration:
        """The declaration of the state."""
        return STATES[self.state]


def moment(at: datetime) -> str:
    """Return a moment for people, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
