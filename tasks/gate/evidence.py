"""The frozen evidence that the gate reads: all measurements of a challenger.

Without a measurement, or with one that is NaN or infinite, a field is None: neither is good news.
"""

import math
from typing import Annotated, Self, TypeVar

from pydantic import AwareDatetime, BeforeValidator, Field, JsonValue, model_validator

from everfit.tasks.core.metric_scale import MetricScale
from everfit.tasks.core.paired_comparison import EarlierGains, PairedComparison
from everfit.tasks.core.records import Record, Window
from everfit.tasks.gate.earlier_releases import EarlierRelease, release_odds
from everfit.tasks.gate.remedies import RemediesTried

AreaT = TypeVar("AreaT", bound=Record)


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_empty(value: object) -> bool:
    return not value  # left out of the JSON, so that evidence without it keeps the digest that it always had


def _is_first(value: object) -> bool:
    return value == 1


def _is_unknown(value: object) -> bool:
    return value is None


Measured = Annotated[float | None, BeforeValidator(_finite)]
"""A finite number, or None for no measurement."""


class Check(Record):
    """The result of one check of the gate."""

    name: str
    passed: bool
    value: float | None = None
    bound: float | None = None
    reason: str


class SliceEvidence(Record):
    """Challenger and champion on the rows where a column has one value."""

    column: str
    value: str = Field(description="The value, or the bin in words.")
    rows: int
    other_class_rows: int | None = Field(default=None, description="Outside of its most frequent class, if it has any.")
    comparison: PairedComparison | None = None

    def __str__(self) -> str:
        return f"{self.column} = {self.value}"


class FairnessEvidence(Record):
    """How differently the groups of one protected column are treated."""

    column: str
    demographic_parity_difference: Measured = None
    equalized_odds_difference: Measured = None
    champion_demographic_parity_difference: Measured = None
    champion_equalized_odds_difference: Measured = None


class CalibrationEvidence(Record):
    """Expected calibration error."""

    challenger: Measured = None
    champion: Measured = None


class RobustnessEvidence(Record):
    """Share of predictions that flip under the worst of the perturbations tried."""

    flip_share: Measured = None
    perturbation: str = ""


class BusinessValueEvidence(Record):
    """Value per row of the hold-out, in the user's unit."""

    challenger: Measured = None
    champion: Measured = None
    unit: str = ""
    comparison: PairedComparison | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="With a champion that answers the same and acts from another probability on.",
    )


class ServingEvidence(Record):
    """The result of loading and calling the logged model by the prediction service's own code."""

    loaded: bool
    same_predictions: bool = Field(description="As in training, on real rows.")
    p99_ms: Measured = None
    size_mb: Measured = None
    memory_mb: Measured = None
    requests_per_second: Measured = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Requests of one row that the whole service answers on one core, with 16 connections.",
    )
    requests_p99_ms: Measured = Field(
        default=None, exclude_if=lambda value: value is None, description="Their p99 latency at that load."
    )
    champion_requests_per_second: Measured = Field(
        default=None, exclude_if=lambda value: value is None, description="The same of the champion, asked in turns."
    )
    champion_requests_p99_ms: Measured = Field(
        default=None, exclude_if=lambda value: value is None, description="Its p99 latency."
    )
    capacity_problem: str = Field(
        default="", exclude_if=lambda text: not text, description="The reason, if the capacity was not measured."
    )
    problem: str = Field(default="", description="The reason, if it didn't load or predicted otherwise.")

    @property
    def capacity(self) -> str:
        """The capacity in one sentence; empty if it was not measured."""
        if self.requests_per_second is None:
            return ""
        own = f"it answers {self.requests_per_second:,.0f} requests a second on one core"
        own += "" if self.requests_p99_ms is None else f" (p99 {self.requests_p99_ms:.3g} ms)"
        if self.champion_requests_per_second is None:
            return own
        theirs = f"{own}, the champion {self.champion_requests_per_second:,.0f}"
        return theirs + (
            "" if self.champion_requests_p99_ms is None else f" (p99 {self.champion_requests_p99_ms:.3g} ms)"
        )


class ConversionEvidence(Record):
    """The result of converting the model to the format of the release."""

    format: str
    accepted: bool = Field(description="Whether that is what is served; otherwise the model as it was fitted is.")
    difference: Measured = Field(default=None, description="The largest between the predictions of both on hold-out.")
    loss: Measured = Field(default=None, description="The loss of the primary metric, as a share of its value.")
    rows: int = 0
    problem: str = Field(default="", description="In words, where it was not accepted.")


class Evidence(Record):
    """The measurements of a challenger on rows that no model has trained on."""

    model: str = Field(description="The spec's name.")
    metric: str = Field(description="The primary metric.")
    greater_is_better: bool
    own_metrics: dict[str, MetricScale] = Field(
        default_factory=dict, exclude_if=_is_empty, description="Direction and range of the user's own metrics."
    )
    holdout: Window = Field(description="The window of the hold-out rows' event times.")
    holdout_rows: int = Field(ge=0)
    holdout_digest: str = Field(description="The digest of the hold-out rows' contents.")
    sampled: bool = Field(default=False, description="The hold-out is a sample of rows that have no event times.")
    holdout_extended: bool = Field(
        default=False, description="Whether it already reaches back to the earliest time that it may."
    )
    overlap_rows: int | None = Field(default=None, ge=0, description="Hold-out rows that a model has trained on.")
    challenger_version: int | None = Field(default=None, description="In the registry, if it is there already.")
    challenger_trained_until: AwareDatetime | None = Field(default=None, description="As compared, before a refit.")
    champion_version: int | None = Field(default=None, description="None when there is no champion yet.")
    broken_champion: str = Field(
        default="",
        exclude_if=_is_empty,
        description="Why the champion can't be loaded, if it may be replaced uncompared.",
    )
    replaces: int | None = Field(
        default=None, exclude_if=_is_unknown, description="Version of the broken champion that would be replaced."
    )
    champion_trained_until: AwareDatetime | None = Field(default=None, description="As released, refit included.")
    challenger: dict[str, Measured] = Field(description="Metrics on the hold-out, the primary one among them.")
    champion: dict[str, Measured] | None = None
    dummy: dict[str, Measured] | None = None
    comparison: PairedComparison | None = Field(default=None, description="With the champion.")
    dummy_comparison: PairedComparison | None = Field(default=None, description="With the dummy, as champion.")
    attempt: int = Field(
        default=1,
        ge=1,
        exclude_if=_is_first,
        description="Number of this comparison with the champion since its release.",
    )
    earlier_releases: tuple[EarlierRelease, ...] = Field(
        default=(), exclude_if=_is_empty, description="Those that live rows have judged since, oldest first."
    )
    earlier_gains: tuple[EarlierGains, ...] = Field(
        default=(), exclude_if=_is_empty, description="Comparisons with earlier champions, oldest first."
    )
    remedies: RemediesTried | None = Field(
        default=None, exclude_if=_is_unknown, description="The smaller remedies, if the turn has tried any."
    )
    rarest_class_rows: int | None = Field(
        default=None, ge=0, exclude_if=_is_unknown, description="Hold-out rows of the rarest class."
    )
    expectations_passed: bool | None = None
    suspected_leaks: tuple[str, ...] | None = Field(default=None, description="Features; empty if none is suspected.")
    namesakes: tuple[str, ...] = Field(
        default=(), exclude_if=_is_empty, description="Features that are called like the target."
    )
    slices: tuple[SliceEvidence, ...] | None = None
    fairness: tuple[FairnessEvidence, ...] | None = None
    calibration: CalibrationEvidence | None = None
    robustness: RobustnessEvidence | None = None
    business_value: BusinessValueEvidence | None = None
    serving: ServingEvidence | None = None
    conversion: ConversionEvidence | None = Field(default=None, description="If the spec asks for one.")
    own_checks: tuple[Check, ...] = Field(
        default=(), exclude_if=_is_empty, description="Results of the user's own checks (`gate.checks`)."
    )
    areas: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict, exclude_if=_is_empty, description="By gate check, the evidence that has no field here."
    )
    not_measured: dict[str, str] = Field(
        default_factory=dict, exclude_if=_is_empty, description="By check, why its evidence could not be measured."
    )
    not_enough: dict[str, str] = Field(
        default_factory=dict, exclude_if=_is_empty, description="By check, those of them that more rows would measure."
    )

    @model_validator(mode="after")
    def _one_metric(self) -> Self:
        slices = (part.comparison for part in self.slices or ())
        compared = [self.comparison, self.dummy_comparison, *slices]
        for comparison in compared:
            if comparison is not None and comparison.metric != self.metric:
                raise ValueError(f"a comparison in {comparison.metric!r} is no evidence on {self.metric!r}")
        for comparison in (self.comparison, self.dummy_comparison):
            if comparison is not None and comparison.rows != self.holdout_rows:
                raise ValueError(
                    f"a comparison on {comparison.rows} rows is not of the {self.holdout_rows} hold-out rows"
                )
        if self.comparison is not None and self.champion_version is None:
            raise ValueError("a comparison with a champion needs champion_version")
        return self

    @property
    def judged_against(self) -> int | None:
        """Version of the champion at the time, whether or not it could be compared with."""
        return self.replaces if self.champion_version is None else self.champion_version

    @property
    def decisive(self) -> PairedComparison | None:
        """The comparison with the champion that decides: of two that answer the same, the one in business value."""
        paired, worth = self.comparison, self.business_value
        same = paired is not None and paired.method == "identical"
        return worth.comparison if same and worth is not None and worth.comparison is not None else paired

    @property
    def error_share(self) -> float:
        """Share of the try's error that this comparison may make: a remedy and the search after it share it."""
        return 1.0 if self.remedies is None else self.remedies.error_share

    @property
    def allowed_share(self) -> float:
        """The factor of the try's error: its share, and the odds that a release of this model pays."""
        return self.error_share * release_odds(self.earlier_releases)

    def area(self, name: str, kind: type[AreaT]) -> AreaT | None:
        """Return the evidence of a check that has no field here, if it was measured.

        Args:
            name: The name of the check.
            kind: The record that its evidence is.
        """
        content = self.areas.get(name)
        return None if content is None else kind.model_validate(content)
