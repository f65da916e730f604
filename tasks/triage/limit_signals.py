"""The evidence areas `fairness` and `calibration`: figures of a model in use against the limits of its spec."""

from pydantic import FiniteFloat

from everfit.tasks.core.records import Record
from everfit.tasks.triage.area import Area


class LimitedFigure(Record):
    """A figure that is better the smaller it is, with its interval and its limit.

    Attributes:
        name: Such as `parity_of_sex`.
        label: The name for people.
        low: The smallest value that fits the data, one-sided at 95 %.
        high: The largest.
        limit: By the spec; None if it sets none.
        groups: The groups that are furthest apart.
    """

    name: str
    label: str
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    rows: int
    limit: FiniteFloat | None = None
    groups: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether it is certainly beyond its limit."""
        return self.limit is not None and self.low > self.limit

    @property
    def summary(self) -> str:
        """The figure in words."""
        apart = f" between {self.groups[0]!r} and {self.groups[1]!r}" if len(self.groups) == 2 else ""
        limit = "" if self.limit is None else f"; at most {self.limit:.3g} is allowed"
        return f"{self.label} is {self.value:.3g}{apart} ({self.low:.3g} to {self.high:.3g}, {self.rows:,} rows{limit})"


class LimitedArea(Area):
    """An area of figures with limits."""

    figures: tuple[LimitedFigure, ...] = ()

    @property
    def broken(self) -> tuple[LimitedFigure, ...]:
        """The figures that are certainly beyond their limits."""
        return tuple(figure for figure in self.figures if figure.broken) if self.measured else ()

    @property
    def details(self) -> str:
        """The figures, the broken ones first."""
        ordered = sorted(self.figures, key=lambda figure: not figure.broken)
        return "; ".join(filter(None, (*(figure.summary for figure in ordered[:4]), self.reason)))

    @property
    def concerns(self) -> tuple[str, ...]:
        """The broken limits."""
        return tuple(figure.summary for figure in self.broken)

    @property
    def numbers(self) -> dict[str, FiniteFloat]:
        """The figures by name."""
        return {figure.name: figure.value for figure in self.figures} if self.measured else {}


class FairnessSignal(LimitedArea):
    """How differently the groups of the protected columns are treated in use."""

    name = "fairness"
    label = "fairness"
    measures = "how differently groups of protected columns are treated, if the spec limits it"


class CalibrationSignal(LimitedArea):
    """How far the probabilities are from what happens."""

    name = "calibration"
    label = "calibration"
    measures = "the error of the probabilities on mature labels, if the spec limits it"
