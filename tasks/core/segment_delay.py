"""The record of a kind of rows whose labels take longer than those of the others."""

from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Record

_MANY_LATE = 0.1
"""From this share of late labels on, quality is measured without too many of a kind of rows."""


class SegmentDelay(Record):
    """How long the labels of one kind of rows take, in days."""

    name: str
    rows: int
    days: FiniteFloat = Field(description="After this time 99 % of its labels are known.")
    lower: FiniteFloat = Field(description="Lower end of the 95 % interval of `days`.")
    upper: FiniteFloat = Field(description="Upper end of it.")
    elsewhere: FiniteFloat = Field(description="The same time of all other rows.")
    coverage: FiniteFloat = Field(description="Share of its rows that get a label.")
    late: FiniteFloat | None = Field(default=None, description="Share of its labels that came after the maturity.")

    @property
    def is_late(self) -> bool:
        """Whether many of its labels come after the maturity, so that people should hear of it."""
        return (self.late or 0) >= _MANY_LATE

    @property
    def summary(self) -> str:
        """The delay in one sentence."""
        late = "" if not self.late else f"; {self.late:.0%} of them come after the maturity"
        return (
            f"labels of {self.name} take {self.days:.3g} days ({self.lower:.3g} to {self.upper:.3g}), "
            f"{self.elsewhere:.3g} elsewhere{late}"
        )
