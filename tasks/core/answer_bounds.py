"""The record by which answers get intervals or sets of classes, as services and batch scoring read it."""

from bisect import bisect_right

from pydantic import AwareDatetime, Field, FiniteFloat

from everfit.tasks.core.records import Record


class AnswerBounds(Record):
    """How far from its answer the truth may be, for one version of a model.

    A regression's interval is the answer plus and minus `reach`. A classifier's set has the most probable class, and
    every class whose probability is at least one minus `bound`.
    """

    promised: FiniteFloat = Field(description="Share of the answers that must be right, as the spec has it.")
    miss_rate: FiniteFloat = Field(description="Share that may be wrong by the present level; it adapts over time.")
    bound: FiniteFloat | None = Field(description="None if there are too few rows for this level.")
    rows: int = Field(description="Rows with a label that the bound was taken from.")
    edges: tuple[FiniteFloat, ...] = Field(default=(), description="Answers between which errors have another size.")
    scales: tuple[FiniteFloat, ...] = Field(default=(1.0,), description="Size of the errors in each part.")
    adapted_until: AwareDatetime | None = Field(
        default=None, description="Labels of rows before this time have adapted it; None for the hold-out alone."
    )

    def reach(self, answer: float) -> float | None:
        """Return half the width of a regression's interval around an answer; None if it is not known."""
        return None if self.bound is None else self.bound * self.scales[bisect_right(self.edges, answer)]
