"""The frozen evidence that triage reads: one record per evidence area, and all of them for one window.

Each area says whether it could be measured. An area that could not be measured never counts as healthy.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import AliasChoices, AwareDatetime, Field, FiniteFloat

from everfit.tasks.core.records import Record, Window
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.delay_signal import DelaySignal
from everfit.tasks.triage.diagnosis_signal import DiagnosisSignal
from everfit.tasks.triage.early_signal import EarlySignal
from everfit.tasks.triage.interval_signal import IntervalSignal
from everfit.tasks.triage.limit_signals import CalibrationSignal, FairnessSignal
from everfit.tasks.triage.quality_signals import EstimateSignal, PreviousSignal, QualitySignal
from everfit.tasks.triage.user_signals import OwnSignal, UserMetricSignal


class ChampionReference(Record):
    """The champion, and what it was trained on."""

    version: int
    id: str = Field(description="Names the reference, such as the digest of its snapshot or profile.")
    released: AwareDatetime = Field(
        description="When the release was decided, in event time: usually the `until` of its turn."
    )
    trained_until: AwareDatetime
    training_rows: int | None = None
    previous_version: int | None = Field(default=None, description="The previous champion, if it is kept.")


INFERRED_BOUND = "inferred_bound"
"""The kind of a problem that is a bound which everfit inferred and nobody accepted: it yields to measured quality."""


class Problem(Record):
    """One thing that is wrong with the data."""

    kind: str = Field(
        description="Such as `frozen`, `missing`, `unseen`, `implausible`, `expectation`, `inferred_bound`."
    )
    column: str | None = None
    summary: str = Field(validation_alias=AliasChoices("summary", "words"))
    share: FiniteFloat | None = Field(
        default=None,
        exclude_if=lambda share: share is None,
        description="The missing rows of a gap, as a share of all rows that were expected in the window.",
    )


class DataSignal(Area):
    """Whether the window's data can be trusted."""

    name = "data"
    label = "data"
    measures = "rows that are missing, frozen, implausible, out of range or against the spec's expectations"
    essential = True

    rows: int = 0
    expected_rows: FiniteFloat | None = Field(
        default=None, description="By the rhythm of the rows, or at the reference's pace."
    )
    asked: bool | None = Field(
        default=None,
        exclude_if=lambda known: known is None,
        description="Whether the model was ever asked for a prediction; None while rows come.",
    )
    quiet: timedelta | None = Field(
        default=None,
        exclude_if=lambda known: known is None,
        description="The time since the last answer, if no rows came.",
    )
    usual_quiet: timedelta | None = Field(
        default=None,
        exclude_if=lambda known: known is None,
        description="A time between two answers that has occurred at least twice.",
    )
    bad: tuple[Problem, ...] = Field(default=(), description="The data is broken; no model may learn from it.")
    suspicious: tuple[Problem, ...] = Field(default=(), description="Unusual data that may be a real change.")
    gaps: tuple[Problem, ...] = Field(
        default=(),
        exclude_if=lambda gaps: not gaps,
        description="Hours with far fewer rows than expected by their rhythm.",
    )
    rhythm_weeks: int | None = Field(
        default=None,
        exclude_if=lambda weeks: weeks is None,
        description="Whole weeks that the rhythm of the rows was learnt from; None if they are too few.",
    )

    @property
    def broken(self) -> tuple[str, ...]:
        """The columns and feeds that are broken."""
        return tuple(sorted({name for problem in self.bad for name in (problem.column or problem.kind).split(", ")}))

    @property
    def details(self) -> str:
        """Rows and the first problems."""
        problems = [problem.summary for problem in (*self.bad, *self.gaps, *self.suspicious)]
        return "; ".join([f"{self.rows:,} rows", *problems[:4]])

    @property
    def concerns(self) -> tuple[str, ...]:
        """Suspicious data; bad data has a rule of its own."""
        return tuple(problem.summary for problem in self.suspicious)


class DriftSignal(Area):
    """Whether inputs or predictions have moved away from the reference."""

    name = "drift"
    label = "drift"
    measures = "the distance of inputs, predictions and explanations from the champion's reference"
    essential = True
    required = ("drifted",)

    drifted: bool | None = None
    columns: tuple[str, ...] = Field(default=(), description="The columns that have drifted.")
    share: FiniteFloat | None = Field(default=None, description="Share of the features that have drifted.")
    prediction: bool | None = Field(default=None, description="Whether the predictions have drifted.")
    explanations: FiniteFloat | None = Field(
        default=None, description="Distance of the champion's explanations from the reference's, from 0 to 1."
    )
    joint: FiniteFloat | None = Field(
        default=None, description="ROC AUC of a classifier that separates the window from the reference."
    )
    beside: tuple[str, ...] = Field(
        default=(), description="Drift that no count of one column shows, such as of free text; one sentence each."
    )
    new: tuple[str, ...] | None = Field(
        default=None,
        description="The drifted columns whose drift has not persisted in earlier windows and is not seasonal; None if "
        "that is not known.",
    )
    seasonal: tuple[str, ...] = Field(
        default=(), description="The drifted columns that are distributed as in the same weeks of the year before."
    )

    @property
    def is_known(self) -> bool:
        """Whether all of the drift has persisted in earlier windows, or is the season's."""
        return bool(self.drifted) and self.new == ()

    @property
    def details(self) -> str:
        """The columns that have drifted."""
        beside = "; ".join(self.beside)
        if not self.columns:
            return beside or self.reason or "no column has drifted"
        share = "" if self.share is None else f"{self.share:.0%} of the features have drifted: "
        season = f"; as a year before: {', '.join(self.seasonal[:6])}" if self.seasonal else ""
        return f"{share}{', '.join(self.columns[:6])}{season}" + (f"; {beside}" if beside else "")


class LabelsSignal(Area):
    """Rows that got a mature label since the last turn, and since the champion was trained."""

    name = "labels"
    label = "new labels"
    measures = "rows that got a mature label since the last turn, and so can be learned from"

    new_rows: int = Field(default=0, description="Since the last turn.")
    unseen_rows: int | None = Field(default=None, description="That the champion has not been trained on.")
    rarest_rows: int | None = Field(default=None, description="Among these, the number of the rarest class.")
    unseen: Window | None = Field(default=None, description="Their span, up to where labels are mature.")
    renamed: str = Field(
        default="",
        exclude_if=lambda words: not words,
        description="In what way a class was renamed where the labels come from.",
    )

    @property
    def details(self) -> str:
        """The number of new rows."""
        unseen = "" if self.unseen_rows is None else f"; {self.unseen_rows:,} since the champion was trained"
        return f"{self.new_rows:,} rows to learn from since the last turn{unseen}"


class CodeSignal(Area):
    """The changes of spec and packages since the champion was trained."""

    name = "code"
    label = "spec and packages"
    measures = "changes of the spec and of package versions since the champion was trained"

    state: str = Field(default="", description="Digest of the present spec and package versions.")
    changed: tuple[str, ...] = Field(default=(), description="One sentence per change.")

    @property
    def details(self) -> str:
        """The changes."""
        return "; ".join(self.changed) or "neither spec nor packages have changed"


class ServiceHealthSignal(Area):
    """The health of the prediction service."""

    name = "service_health"
    label = "service health"
    measures = "latency, errors, outliers and the age of unlogged predictions of the prediction service"

    predictions: int = 0
    figures: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="Such as error_rate, p99_ms, spool_age_s."
    )
    alarms: tuple[str, ...] = Field(default=(), description="Figures out of bounds, one sentence each.")
    clients: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda sentences: not sentences,
        description="The largest share of one client among several, one sentence each.",
    )

    @property
    def details(self) -> str:
        """The main figures, the largest client and all alarms."""
        formats = {"p99_ms": "p99 {:.3g} ms", "error_rate": "{:.2%} errors", "spool_age_s": "spool {:.0f} s old"}
        formats |= {"outlier_share": "{:.1%} outliers"}
        known = [form.format(self.figures[name]) for name, form in formats.items() if name in self.figures]
        return "; ".join([f"{self.predictions:,} predictions", *known, *self.clients, *self.alarms])

    @property
    def concerns(self) -> tuple[str, ...]:
        """The alarms."""
        return self.alarms

    @property
    def numbers(self) -> dict[str, FiniteFloat]:
        """The service's own figures, without its counters, and the number of predictions."""
        if not self.measured:
            return {}
        return {"predictions": float(self.predictions), **{k: v for k, v in self.figures.items() if " " not in k}}


def _unless_absent(area: type[Area]) -> Any:
    """Return the field of an area that is written only if it was looked for.

    A window that was judged before everfit knew the area then keeps the id of its decision.
    """
    return Field(default_factory=area, exclude_if=lambda value: value.status == "absent")


class Signals(Record):
    """All evidence of one window of one model."""

    model: str
    window: Window
    reference: ChampionReference
    data: DataSignal = Field(default_factory=DataSignal)
    drift: DriftSignal = Field(default_factory=DriftSignal)
    quality: QualitySignal = Field(default_factory=QualitySignal)
    estimate: EstimateSignal = Field(default_factory=EstimateSignal)
    previous: PreviousSignal = Field(default_factory=PreviousSignal)
    labels: LabelsSignal = Field(default_factory=LabelsSignal)
    delays: DelaySignal = _unless_absent(DelaySignal)
    early: EarlySignal = _unless_absent(EarlySignal)
    intervals: IntervalSignal = _unless_absent(IntervalSignal)
    code: CodeSignal = Field(default_factory=CodeSignal)
    diagnosis: DiagnosisSignal = _unless_absent(DiagnosisSignal)
    fairness: FairnessSignal = _unless_absent(FairnessSignal)
    calibration: CalibrationSignal = _unless_absent(CalibrationSignal)
    service_health: ServiceHealthSignal = Field(
        default_factory=ServiceHealthSignal, validation_alias=AliasChoices("service_health", "operations")
    )
    user_metrics: tuple[UserMetricSignal, ...] = Field(
        default=(), validation_alias=AliasChoices("user_metrics", "satisfaction")
    )
    own: tuple[OwnSignal, ...] = ()

    def areas(self) -> tuple[Area, ...]:
        """Return every evidence area, each user metric and each signal of the user by itself."""
        return tuple(self._areas())

    def failures(self) -> list[str]:
        """Return the areas whose measurement broke, with the reason."""
        return [f"{area.title}: {area.reason}" for area in self.areas() if area.status == "failed"]

    def numbers(self) -> dict[str, float]:
        """Return all measured numbers by `area.field`, such as `quality.value`."""
        return {
            f"{area.name if area.title == area.label else area.title}.{field}": value
            for area in self.areas()
            for field, value in area.numbers.items()
        }

    def _areas(self) -> Iterator[Area]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Area):
                yield value
            elif isinstance(value, tuple):
                yield from value
