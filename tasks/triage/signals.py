"""The frozen evidence that triage reads: one small record per thing that was looked at.

Each area says whether it could be measured. What could not be measured is never read as healthy.
"""

from typing import Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, FiniteFloat, model_validator

from everfit.tasks.core.metric_scale import MetricScale
from everfit.tasks.core.records import Record, Window

Status = Literal["measured", "not_enough", "absent", "failed"]
"""`not_enough`: too few rows or labels to say anything; `absent`: wasn't looked at; `failed`: looking at it failed."""


class Area(Record):
    """One thing that was looked at."""

    status: Status = "absent"
    reason: str = Field(default="", description="In words, above all why it could not be measured.")

    @property
    def measured(self) -> bool:
        """Whether its numbers mean something."""
        return self.status == "measured"


_AreaT = TypeVar("_AreaT", bound=Area)


class Reference(Record):
    """The champion and what it was trained on."""

    version: int
    id: str = Field(description="Names the reference, such as the digest of its snapshot or profile.")
    released: AwareDatetime = Field(description="In event time: as of what decided it, usually its turn.")
    trained_until: AwareDatetime
    training_rows: int | None = None
    previous_version: int | None = Field(default=None, description="The champion before it, if it is kept.")


class Problem(Record):
    """One thing that is wrong with the data."""

    kind: str = Field(description="Such as `frozen`, `missing`, `unseen`, `implausible`, `expectation`.")
    column: str | None = None
    words: str


class DataSignal(Area):
    """Whether the window's data can be relied upon."""

    rows: int = 0
    expected_rows: FiniteFloat | None = Field(default=None, description="By the pace of the reference.")
    bad: tuple[Problem, ...] = Field(default=(), description="The data is broken; nothing is to be learned from it.")
    suspicious: tuple[Problem, ...] = Field(default=(), description="Worth a look, but may be a change of the world.")


class DriftSignal(Area):
    """Whether inputs or predictions have moved away from the reference."""

    drifted: bool | None = None
    columns: tuple[str, ...] = Field(default=(), description="Those that have drifted.")
    share: FiniteFloat | None = Field(default=None, description="Of the features that have drifted.")
    prediction: bool | None = Field(default=None, description="Whether the predictions have drifted.")
    explanations: FiniteFloat | None = Field(
        default=None, description="How far what the champion rests its answers on has moved, from 0 to 1."
    )
    joint: FiniteFloat | None = Field(
        default=None, description="ROC AUC of a classifier that tells the window from the reference."
    )
    beside: tuple[str, ...] = Field(default=(), description="Drift that no single column shows, in words.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        return _require(self, "drifted")


class Baseline(Record):
    """The champion's quality on its hold-out: what live quality is compared with."""

    value: FiniteFloat
    standard_error: FiniteFloat = Field(ge=0)
    rows: int
    chance: FiniteFloat | None = Field(default=None, description="The best constant answer's value on the same rows.")
    spread: FiniteFloat | None = Field(
        default=None, ge=0, description="By how much the value differs between stretches of time, beyond chance."
    )
    scale: MetricScale | None = Field(
        default=None,
        exclude_if=lambda scale: scale is None,
        description="Direction and range of a user's own metric; None of a metric of everfit.",
    )


class QualitySignal(Area):
    """Quality on rows whose labels are mature."""

    metric: str = ""
    window: Window | None = Field(default=None, description="Of the labelled rows; older than the rest by maturity.")
    rows: int = 0
    value: FiniteFloat | None = None
    standard_error: FiniteFloat | None = Field(default=None, ge=0)
    chance: FiniteFloat | None = Field(default=None, description="The best constant answer's value on these rows.")
    baseline: Baseline | None = None
    coverage: FiniteFloat | None = Field(default=None, description="Share of the mature rows that have a label.")
    usual_coverage: FiniteFloat | None = Field(default=None, description="The same in the reference or before.")
    biased: bool = Field(default=False, description="Whether labelled rows differ from the unlabelled ones.")
    lost_slices: tuple[str, ...] = Field(default=(), description="Slices that have lost, corrected for their number.")
    value_per_row: FiniteFloat | None = Field(default=None, description="Business value, by the spec's value matrix.")
    value_error: FiniteFloat | None = Field(default=None, ge=0, description="Standard error of it.")
    value_interval: tuple[FiniteFloat, FiniteFloat] | None = Field(default=None, description="At 95 %.")
    value_unit: str = ""
    baseline_value_per_row: FiniteFloat | None = Field(default=None, description="The same on the hold-out.")
    baseline_value_error: FiniteFloat | None = Field(default=None, ge=0)

    @property
    def lacks_labels(self) -> bool:
        """Whether less than half of the labels have come that usually come."""
        return self.coverage is not None and self.coverage < (self.usual_coverage or 0) / 2

    @model_validator(mode="after")
    def _complete(self) -> Self:
        return _require(self, "value", "standard_error", "baseline", "window")


class EstimateSignal(Area):
    """Quality estimated for rows that have no mature labels yet."""

    method: str = ""
    metric: str = ""
    rows: int = 0
    value: FiniteFloat | None = None
    standard_error: FiniteFloat | None = Field(default=None, ge=0, description="Widened by how far past ones were off.")
    trust: FiniteFloat = Field(default=0.5, ge=0, le=1, description="Earned by past estimates that came true.")
    baseline: Baseline | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        return _require(self, "value", "standard_error", "baseline")


class PreviousSignal(Area):
    """The champion before this one, on the same labelled rows."""

    version: int | None = None
    rows: int = 0
    gain: FiniteFloat | None = Field(default=None, description="Positive when the previous one is better.")
    p_value: FiniteFloat | None = Field(default=None, description="Of such a gain if it were not better.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        return _require(self, "gain", "p_value")


class LabelsSignal(Area):
    """What there is to learn from: rows with mature labels since the last turn."""

    new_rows: int = 0


class SatisfactionSignal(Area):
    """A figure of the users' own."""

    metric: str
    value: FiniteFloat | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        return _require(self, "value")


class CodeSignal(Area):
    """What has changed in spec and packages since the champion was trained."""

    state: str = Field(default="", description="Digest of the present spec and package versions.")
    changed: tuple[str, ...] = Field(default=(), description="In words, one per change.")


class OperationsSignal(Area):
    """How the service is doing."""

    predictions: int = 0
    figures: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="Such as error_rate, p99_ms, spool_age_s."
    )
    alarms: tuple[str, ...] = Field(default=(), description="Figures out of bounds, in words.")


class Signals(Record):
    """All that is known of one window of one model."""

    model: str
    window: Window
    reference: Reference
    data: DataSignal = Field(default_factory=DataSignal)
    drift: DriftSignal = Field(default_factory=DriftSignal)
    quality: QualitySignal = Field(default_factory=QualitySignal)
    estimate: EstimateSignal = Field(default_factory=EstimateSignal)
    previous: PreviousSignal = Field(default_factory=PreviousSignal)
    labels: LabelsSignal = Field(default_factory=LabelsSignal)
    satisfaction: tuple[SatisfactionSignal, ...] = ()
    code: CodeSignal = Field(default_factory=CodeSignal)
    operations: OperationsSignal = Field(default_factory=OperationsSignal)


def _require(area: _AreaT, *names: str) -> _AreaT:
    """Refuse an area that says that it was measured and lacks the numbers."""
    missing = [name for name in names if getattr(area, name) is None]
    if area.measured and missing:
        raise ValueError(f"{type(area).__name__} was measured but has no {missing[0]!r}; give it, or another status")
    return area
