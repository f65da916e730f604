"""The worth of the loop in a month: its answers against those of models that it replaced. Pure."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

from pydantic import Field, FiniteFloat

from everfit.tasks.core.figures import in_digits
from everfit.tasks.core.gains import gain_in_words, range_in_words
from everfit.tasks.core.records import Record, Window

WORTH = "worth"
"""Kind of the decisions that keep a month's worth."""

TWO_SIDED = NormalDist().inv_cdf(0.975)
"""Standard errors from the middle to either end of a 95 % interval."""


class MonthGain(Record):
    """How much better the answers were than those of another model on the same rows; positive if better.

    Attributes:
        rows: Number of rows that were compared.
        gain: In the metric, whichever way that counts.
        standard_error: The standard error of the gain.
        money: Value of the gain on all answers of the month; None without a value.
    """

    rows: int
    gain: FiniteFloat
    standard_error: FiniteFloat
    money: FiniteFloat | None = None

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.gain - TWO_SIDED * self.standard_error

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.gain + TWO_SIDED * self.standard_error


class MonthWorth(Record):
    """The worth of the loop in a month.

    Attributes:
        month: As `2024-03`.
        metric: The metric of the gains.
        rows: Answers with a mature label.
        alone: Gain over the very first model, left alone; None if it is not known.
        previous: Gain of each champion over the one before; None before the second champion.
        turns: Trainings in the month, apart from that of the first model.
        cost: Their cost; None without a price.
        unit: Unit of the money.
        notes: Why something is not known.
    """

    month: str
    metric: str
    rows: int = 0
    alone: MonthGain | None = None
    previous: MonthGain | None = None
    turns: int = 0
    cost: FiniteFloat | None = None
    unit: str = ""
    notes: tuple[str, ...] = Field(default=())

    @property
    def verdict(self) -> str:
        """Whether the loop did better than the first model left alone: `better`, `worse`, `uncertain` or `unknown`."""
        if self.alone is None:
            return "unknown"
        return "better" if self.alone.low > 0 else "worse" if self.alone.high < 0 else "uncertain"

    @property
    def net(self) -> float | None:
        """The money over the first model left alone, less the turns; None without a value."""
        return None if self.alone is None or self.alone.money is None else self.alone.money - (self.cost or 0.0)


def combined(parts: Sequence[MonthGain]) -> MonthGain | None:
    """Return the gain over the rows of all champions of a month, each weighed by its rows.

    Args:
        parts: Gain on the answers of each champion.
    """
    rows = sum(part.rows for part in parts)
    if not rows:
        return None
    money = [part.money for part in parts if part.money is not None]
    return MonthGain(
        rows=rows,
        gain=sum(part.rows * part.gain for part in parts) / rows,
        standard_error=math.sqrt(sum((part.rows * part.standard_error) ** 2 for part in parts)) / rows,
        money=sum(money) if len(money) == len(parts) else None,
    )


def months_of(since: datetime, until: datetime) -> Iterator[Window]:
    """Yield the calendar months (UTC) from one moment on that have ended by another.

    Args:
        since: In the first month.
        until: No month ends later.
    """
    start = datetime(since.year, since.month, 1, tzinfo=UTC)
    while (end := datetime(*_next(start), 1, tzinfo=UTC)) <= until:
        yield Window(since=start, until=end)
        start = end


def _next(start: datetime) -> tuple[int, int]:
    later = start + timedelta(days=31)
    return later.year, later.month


WORTH_HEADS = ("month", "rows", "gain over left alone", "gain over the one before", "turns")
_MONEY_HEADS = ("value", "turns cost", "net")


def worth_heads(months: Sequence[MonthWorth]) -> list[str]:
    """Return the heads of the table of months.

    Args:
        months: The months of one model.
    """
    money = [f"{name} {months[-1].unit}".strip() for name in _MONEY_HEADS] if _valued(months) else []
    return [*WORTH_HEADS, *money]


def worth_rows(months: Sequence[MonthWorth]) -> Iterator[list[str]]:
    """Yield a line for each month, and one for all of them.

    Args:
        months: The months of one model, oldest first.
    """
    for month in months:
        yield [month.month, f"{month.rows:,}", _words(month.alone), _words(month.previous), *_rest(month, months)]
    if len(months) > 1:
        total = sum_of(months)
        yield ["all", f"{total.rows:,}", _words(total.alone), _words(total.previous), *_rest(total, months)]


def sum_of(months: Sequence[MonthWorth]) -> MonthWorth:
    """Return all months as one.

    Args:
        months: The months of one model, oldest first.
    """
    costs = [month.cost for month in months if month.cost is not None]
    return MonthWorth(
        month=" to ".join(dict.fromkeys((months[0].month, months[-1].month))),
        metric=months[-1].metric,
        rows=sum(month.rows for month in months),
        alone=combined([month.alone for month in months if month.alone is not None]),
        previous=combined([month.previous for month in months if month.previous is not None]),
        turns=sum(month.turns for month in months),
        cost=sum(costs) if costs else None,
        unit=months[-1].unit,
    )


def worth_summary(months: Sequence[MonthWorth]) -> str:
    """Return what the loop has been worth in one sentence.

    Args:
        months: The months of one model, oldest first.
    """
    if not months:
        return "No month with mature labels has ended yet, so what the loop has been worth is not known."
    total = sum_of(months)
    turns = f"{total.turns} turn{'' if total.turns == 1 else 's'}"
    if total.alone is None:
        return f"{total.month}: the gain over the first model is not known; {turns}."
    sure = {"better": "that is certain", "worse": "it did worse for certain"}
    words = sure.get(total.verdict, "the labels can't tell the two apart")
    money = "" if total.net is None else f" Less the turns that is {in_digits(total.net)} {total.unit}".rstrip() + "."
    return (
        f"{total.month}: {gain_in_words(total.alone.gain, total.metric, in_digits)} than the first model left alone "
        f"(95 %: {range_in_words(total.alone.low, total.alone.high, in_digits)}; {words}), by {turns}.{money}"
    )


def _valued(months: Sequence[MonthWorth]) -> bool:
    return any(month.net is not None or month.cost is not None for month in months)


def _rest(month: MonthWorth, months: Sequence[MonthWorth]) -> list[str]:
    money = [None if month.alone is None else month.alone.money, month.cost, month.net] if _valued(months) else []
    return [str(month.turns), *("-" if value is None else f"{value:,.2f}" for value in money)]


def _words(found: MonthGain | None) -> str:
    return "-" if found is None else f"{found.gain:+.4f} ± {found.high - found.gain:.4f}"
