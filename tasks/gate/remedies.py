"""Choose the smallest remedy that is enough: closed testing over a ladder from no change to a full search. Pure.

The rungs of the ladder are compared in pairs on rows that no compared model has been fitted on. The lowest rung that no
higher one is surely ahead of is enough: Y. Vergouwe et al., "A closed testing procedure to select an appropriate method
for updating prediction models", Statistics in Medicine 36 (2017). A remedy has a gate of its own. A full search that
follows one in vain is another comparison on the same rows, so both share the error of the turn's try.
"""

from collections.abc import Sequence

from pydantic import Field, FiniteFloat

from everfit.tasks.core.figures import in_digits
from everfit.tasks.core.records import Record

KEEP = "no change"
REMEDY_SHARE = 0.2
"""Share of a try's error that a remedy may make; the full search may make the rest."""
_SURE = 0.95
"""Confidence with which a higher rung must be ahead to be worth its size."""

_WORDS: dict[str, str] = {
    "threshold": "another threshold",
    "prior_shift": "a shift of the odds as the classes' shares have shifted",
    "intercept": "a constant shift",
    "recalibration": "a shift and another scale",
    "refit": "a refit with the champion's settings",
}


class Lead(Record):
    """How far a higher rung is ahead of a lower one on the same rows."""

    higher: str
    gain: FiniteFloat = Field(description="The gain of the metric; positive where the higher rung is better.")
    error: FiniteFloat = Field(ge=0, description="Its standard error.")
    degrees_of_freedom: float | None = Field(
        default=None, description="The degrees of freedom of the error; None if it is known exactly."
    )

    @property
    def is_sure(self) -> bool:
        """Whether the higher rung is ahead beyond chance."""
        return _is_sure(self.gain, self.error, self.degrees_of_freedom)


class ValueLead(Record):
    """How far the champion is ahead in business value per row if it acts from another probability on."""

    before: FiniteFloat = Field(description="Business value per row at the champion's threshold.")
    after: FiniteFloat = Field(description="At thresholds that were fitted on earlier rows.")
    error: FiniteFloat = Field(ge=0, description="Standard error of the difference.")
    degrees_of_freedom: float | None = Field(
        default=None, description="The degrees of freedom of the error; None if it is known exactly."
    )
    unit: str = ""

    @property
    def is_sure(self) -> bool:
        """Whether the new threshold is ahead beyond chance."""
        return _is_sure(self.after - self.before, self.error, self.degrees_of_freedom)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"business value per row: no change {in_digits(self.before)}, threshold {in_digits(self.after)}{unit}"


class Rung(Record):
    """One remedy, or no change, as it did on rows that it was not fitted on."""

    name: str
    value: float | None = Field(description="The value of the metric; None if it is not known.")
    leads: tuple[Lead, ...] = Field(default=(), description="The leads of the higher rungs over this one.")

    @property
    def is_enough(self) -> bool:
        """Whether no higher rung is surely better."""
        return not any(lead.is_sure for lead in self.leads)


class RemediesTried(Record):
    """The remedies that were tried before a full search."""

    champion: int = Field(description="Version of the champion that needs a remedy.")
    metric: str
    rungs: tuple[Rung, ...] = Field(description="The smallest first.")
    chosen: str = Field(description="The smallest rung that is enough.")
    how: str = Field(default="", description="The chosen remedy in numbers.")
    value: ValueLead | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The value of acting from another threshold, if the spec states what its actions are worth.",
    )
    why_not: str = Field(default="", description="Why the chosen one was not released, if it was not.")
    is_judged: bool = Field(
        default=True, description="Whether the gate judges the remedy, or the full search after it."
    )

    @property
    def error_share(self) -> float:
        """Share of the try's error that this comparison may make."""
        if not self.is_judged:
            return 1 - REMEDY_SHARE
        return REMEDY_SHARE if self.value is None else REMEDY_SHARE / 2  # by value, or by the metric

    @property
    def summary(self) -> str:
        """The remedies that were tried, and why one was taken or none, in one sentence."""
        values = [(rung.name, "not known" if rung.value is None else in_digits(rung.value)) for rung in self.rungs]
        tried = f"{self.metric}: {', '.join(f'{name} {value}' for name, value in values)}"
        if self.value is not None:
            tried += f"; {self.value}"
        if self.is_judged:
            how = f", {self.how}" if self.how else ""
            return (
                f"The smallest remedy of champion {self.champion} that is enough is {remedy_words(self.chosen)}{how}; "
                f"no larger one is surely better ({tried}), so no candidate was tried"
            )
        if self.chosen == KEEP:
            return (
                f"No smaller remedy of champion {self.champion} helps for certain ({tried}), so candidates were tried"
            )
        return (
            f"A smaller remedy of champion {self.champion}, {remedy_words(self.chosen)}, was not taken, because "
            f"{self.why_not} ({tried}); so candidates were tried"
        )


def _is_sure(gain: float, error: float, freedom: float | None) -> bool:
    from scipy.stats import norm, t

    quantile = norm.ppf(_SURE) if freedom is None else t.ppf(_SURE, freedom)
    return bool(gain > float(quantile) * error)


def smallest_enough(rungs: Sequence[Rung]) -> str:
    """Return the name of the smallest rung that no larger one is surely ahead of, and that is not behind no change.

    Args:
        rungs: The smallest first, each with the leads of the larger ones.

    Example:
        >>> unsure = Lead(higher="refit", gain=0.01, error=0.02)
        >>> smallest_enough([Rung(name="intercept", value=0.5, leads=(unsure,)), Rung(name="refit", value=0.49)])
        'intercept'
    """
    behind = {lead.higher for rung in rungs if rung.name == KEEP for lead in rung.leads if lead.gain <= 0}
    return next((rung.name for rung in rungs if rung.is_enough and rung.name not in behind), KEEP)


def remedy_words(name: str) -> str:
    """Return what a remedy is, for readers."""
    return f"{_WORDS[name]} ({name})" if name in _WORDS else name
