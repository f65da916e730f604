"""The evidence area `early`: quality by the labels that are known before the maturity."""

from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Window
from everfit.tasks.triage.area import Area


class EarlySignal(Area):
    """Quality on rows that are not mature; a loss of it is worth watching, and starts nothing."""

    name = "early"
    label = "early quality"
    measures = (
        "the primary metric on labels that are known before the maturity, weighted by how many are; a loss is watched"
    )
    required = ("value", "standard_error", "window")

    metric: str = ""
    window: Window | None = None
    rows: int = Field(default=0, description="Rows with an early label.")
    value: FiniteFloat | None = None
    standard_error: FiniteFloat | None = Field(default=None, ge=0)
    least_known: FiniteFloat | None = Field(
        default=None, description="The smallest share of labels that is known, by which a label is weighted."
    )

    @property
    def details(self) -> str:
        """The value with its 95 % interval, and the rows."""
        if self.value is None or self.standard_error is None or self.window is None:
            return ""
        share = f"weighted by the share that is known, {self.least_known or 0:.0%} at least"
        labels = f"by {self.rows:,} labels that are known before the maturity, {share}"
        return f"{self.metric} {self.value:.4f} ± {1.96 * self.standard_error:.2g} in {self.window}, {labels}"
