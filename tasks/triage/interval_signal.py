"""The evidence area `intervals`: how often the intervals or sets of answers had the true value."""

from pydantic import Field, FiniteFloat

from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import Window
from everfit.tasks.triage.area import Area

_SURE = 2.326
"""One-sided at 99 %, because every window is looked at."""
_MORE = 1.1
"""The factor of the promised misses above which a sentence is worth it: a bound from few rows is a little off too."""


class IntervalSignal(Area):
    """The coverage of intervals and sets on mature labels, and the bounds that follow from it."""

    name = "intervals"
    label = "interval coverage"
    measures = "how often intervals or sets of classes had the true value, against the promise of the spec"
    required = ("promised", "window", "adapted")

    promised: FiniteFloat | None = Field(default=None, description="Share that must have the true value.")
    window: Window | None = Field(default=None, description="The rows whose labels have come since the last look.")
    rows: int = Field(default=0, description="Rows with a label that were answered with an interval or a set.")
    covered: FiniteFloat | None = Field(default=None, description="Share of these that had the true value.")
    standard_error: FiniteFloat | None = Field(default=None, ge=0)
    size: FiniteFloat | None = Field(default=None, description="Mean width of the intervals, or classes in a set.")
    regression: bool = False
    abstained: FiniteFloat | None = Field(
        default=None,
        exclude_if=lambda share: share is None,
        description="Share of the rows that were too unsure; None without a rule.",
    )
    adapted: AnswerBounds | None = Field(default=None, description="The bounds from now on.")

    @property
    def too_few(self) -> bool:
        """Whether surely fewer answers than promised had the true value."""
        if not self.measured or self.covered is None or self.standard_error is None or self.promised is None:
            return False
        return 1 - self.covered - _SURE * self.standard_error > _MORE * (1 - self.promised)

    @property
    def details(self) -> str:
        """The coverage and the size."""
        kind = "intervals" if self.regression else "sets of classes"
        if self.covered is None or self.standard_error is None:
            return f"no row with a label was answered with {kind} yet; the bounds were taken from live rows"
        size = f"mean width {self.size or 0:.4g}" if self.regression else f"{self.size or 0:.2f} classes on average"
        unsure = "" if self.abstained is None else f"; {self.abstained:.1%} were too unsure"
        return (
            f"{self.covered:.1%} ± {1.96 * self.standard_error:.1%} of {self.rows:,} {kind} had the true value, and "
            f"{self.promised or 0:.3g} was promised; {size}{unsure}"
        )

    @property
    def concerns(self) -> tuple[str, ...]:
        """Coverage that is surely below the promise."""
        return (f"{self.details}; they are wider from now on",) if self.too_few else ()
