"""The evidence areas about quality: on mature labels, estimated without labels, and of the previous champion."""

from pydantic import Field, FiniteFloat

from everfit.tasks.core.metric_scale import MetricScale
from everfit.tasks.core.records import Record, Window
from everfit.tasks.triage.area import Area


class Baseline(Record):
    """The champion's quality on its hold-out, with which live quality is compared."""

    value: FiniteFloat
    standard_error: FiniteFloat = Field(ge=0)
    rows: int
    chance: FiniteFloat | None = Field(default=None, description="The best constant answer's value on the same rows.")
    spread: FiniteFloat | None = Field(
        default=None, ge=0, description="Standard deviation of the value between stretches of time, beyond chance."
    )
    stretches: int | None = Field(default=None, description="The number of those stretches.")
    scale: MetricScale | None = Field(
        default=None,
        exclude_if=lambda scale: scale is None,
        description="Direction and range of a metric of the user; None for a metric of everfit.",
    )


class SliceFigure(Record):
    """Quality of a slice of the rows against the same slice of the hold-out.

    Attributes:
        name: Its column and value, such as `carrier=WN`.
        expected: Its quality on the hold-out.
        bound: The worst quality that is no loss.
        lost: Whether it has lost, corrected for the number of slices.
    """

    name: str
    rows: int
    value: FiniteFloat
    standard_error: FiniteFloat = Field(ge=0)
    expected: FiniteFloat
    bound: FiniteFloat
    lost: bool = False


class QualitySignal(Area):
    """Quality on rows whose labels are mature."""

    name = "quality"
    label = "quality"
    measures = "the primary metric on rows with mature labels, against the champion's hold-out"
    essential = True
    required = ("value", "standard_error", "baseline", "window")

    metric: str = ""
    window: Window | None = Field(
        default=None, description="The window of the labelled rows: it ends earlier by the maturity."
    )
    rows: int = 0
    value: FiniteFloat | None = None
    standard_error: FiniteFloat | None = Field(default=None, ge=0)
    chance: FiniteFloat | None = Field(default=None, description="The best constant answer's value on these rows.")
    baseline: Baseline | None = None
    coverage: FiniteFloat | None = Field(default=None, description="Share of the mature rows that have a label.")
    usual_coverage: FiniteFloat | None = Field(default=None, description="The same in earlier windows or training.")
    biased: bool = Field(default=False, description="Whether labelled rows differ from the unlabelled ones.")
    lost_slices: tuple[str, ...] = Field(default=(), description="Slices that have lost, corrected for their number.")
    slices: tuple[SliceFigure, ...] = Field(
        default=(), exclude_if=lambda slices: not slices, description="Quality of each slice with enough labels."
    )
    value_per_row: FiniteFloat | None = Field(default=None, description="Business value, by the spec's value matrix.")
    value_error: FiniteFloat | None = Field(default=None, ge=0, description="Standard error of it.")
    value_interval: tuple[FiniteFloat, FiniteFloat] | None = Field(default=None, description="At 95 %.")
    value_unit: str = ""
    baseline_value_per_row: FiniteFloat | None = Field(default=None, description="The same on the hold-out.")
    baseline_value_error: FiniteFloat | None = Field(default=None, ge=0)

    @property
    def lacks_labels(self) -> bool:
        """Whether fewer than half of the usual labels have come."""
        return self.coverage is not None and self.coverage < (self.usual_coverage or 0) / 2

    @property
    def details(self) -> str:
        """Live quality and hold-out, each with its 95 % interval."""
        if self.value is None or self.baseline is None:
            return ""
        band = "" if self.standard_error is None else f" ± {1.96 * self.standard_error:.2g}"
        holdout = f"{self.baseline.value:.4f} ± {1.96 * self.baseline.standard_error:.2g} on the hold-out"
        chance = "" if self.chance is None else f", {self.chance:.4g} by chance"
        return f"{self.metric} {self.value:.4f}{band}; {holdout}{chance}. {self.reason}{self._business_value}"

    @property
    def concerns(self) -> tuple[str, ...]:
        """Labels that are a biased sample, and slices that have lost."""
        biased = self.reason or "labelled rows differ from unlabelled ones, so quality is not measured"
        return ((biased,) if self.biased else ()) + tuple(
            f"quality is lost in the slice {name}" for name in self.lost_slices
        )

    @property
    def _business_value(self) -> str:
        if self.value_per_row is None:
            return ""
        low, high = self.value_interval or (None, None)
        value = f"A row was worth {_number(self.value_per_row)} {self.value_unit}".rstrip()
        holdout = _number(self.baseline_value_per_row)
        return f" {value} ({_number(low)} to {_number(high)} at 95 %); {holdout} on the hold-out."


class EstimateSignal(Area):
    """Quality estimated for rows that have no mature labels yet."""

    name = "estimate"
    label = "estimated quality"
    measures = "the primary metric on rows without mature labels, estimated from the champion's scores"
    required = ("value", "standard_error", "baseline")

    method: str = ""
    metric: str = ""
    rows: int = 0
    value: FiniteFloat | None = None
    standard_error: FiniteFloat | None = Field(
        default=None, ge=0, description="Widened by the errors of past estimates."
    )
    trust: FiniteFloat = Field(default=0.5, ge=0, le=1, description="From how well past estimates matched the labels.")
    labels_needed: int | None = Field(
        default=None,
        exclude_if=lambda count: count is None,
        description="Labels that would tell the metric of these rows to plus or minus .01, or a hundredth of a "
        "number's error, if the labelling queue picks them.",
    )
    baseline: Baseline | None = None


class PreviousSignal(Area):
    """The previous champion on the same labelled rows."""

    name = "previous"
    label = "previous champion"
    measures = "the previous champion on the same labelled rows, while a release is young"
    required = ("gain", "p_value")

    version: int | None = None
    rows: int = 0
    gain: FiniteFloat | None = Field(default=None, description="Positive when the previous champion is better.")
    p_value: FiniteFloat | None = Field(
        default=None, description="The probability of such a gain if it were not better."
    )

    @property
    def details(self) -> str:
        """By how much the previous champion is better or worse."""
        if self.gain is None:
            return ""
        better = "better" if self.gain > 0 else "worse"
        return f"version {self.version} is {abs(self.gain):.4f} {better} on the same rows"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
