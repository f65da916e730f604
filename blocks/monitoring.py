"""What is watched while a model serves, and by which bounds."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from everfit.blocks.policy import Duration, Policy

DriftMethod = Literal["psi", "jensenshannon", "tvd"]
"""How far apart two distributions are: population stability index, Jensen-Shannon distance (natural logarithm),
total variation distance. The first two are those of Evidently 0.7, by the same names."""


class ColumnDriftPolicy(Policy):
    """What is different for one column."""

    ignore: bool = Field(
        default=False,
        description="Whether the column is left out of drift, as a calendar column, which drifts in every window.",
    )
    method: DriftMethod | None = Field(
        default=None, description="The column's own method, in place of `numeric_method` or `categorical_method`."
    )
    threshold: float | None = Field(default=None, gt=0, description="The column's own threshold.")


class DataQualityPolicy(Policy):
    """From where on data that comes in counts as broken rather than as changed."""

    missing_jump: float = Field(
        default=0.2, gt=0, le=1, description="By how much a column's missing share may rise above the reference's."
    )
    unseen_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="What share of a column's rows may hold categories that the reference doesn't know.",
    )
    out_of_range_share: float = Field(
        default=0.05, ge=0, le=1, description="What share of a column's rows may lie outside of the reference's range."
    )
    implausible_ranges: float = Field(
        default=10,
        gt=0,
        description="How many of the reference's ranges away a value must be to be taken for a code or another unit, "
        "and not for a change.",
    )
    implausible_share: float = Field(
        default=0.01, ge=0, le=1, description="What share of a column's rows may be that far away."
    )
    frozen_share: float = Field(
        default=0.95,
        gt=0.5,
        le=1,
        description="From which share of one single value on a column that used to vary counts as frozen.",
    )
    repeated_share: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="By how much the share of rows that repeat another row may rise above the reference's.",
    )
    volume_share: float = Field(
        default=0.5, ge=0, le=1, description="Below which share of the expected rows the volume is reported."
    )
    max_age: Duration | None = Field(
        default=None,
        description="How old the newest row may be at the window's end; by default as old as the window is long.",
    )


class ServiceHealthPolicy(Policy):
    """From where on a service that answers counts as ill; what is out of bounds is told, and trains nothing."""

    max_error_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="What share of the requests may end in an error of the service's own (5xx).",
    )
    max_p99_ms: float | None = Field(
        default=None,
        gt=0,
        description="In how many milliseconds 99 % of the predictions must be answered; not judged by default.",
    )
    max_spool_age: Duration = Field(
        default=timedelta(minutes=15),
        description="How old a prediction may be that the prediction log doesn't have yet.",
    )
    max_outlier_share: float = Field(
        default=0.05, ge=0, le=1, description="What share of the rows may be flagged as unlike the training data."
    )
    token: SecretStr | None = Field(
        default=None,
        description="A token of the services for their `/metrics`, best as `env:NAME` or `block:NAME`. A service that "
        "was started with a token file answers 401 without one, and each look tells so.",
    )


class MonitoringPolicy(Policy):
    """What is watched while a model serves, and by which bounds.

    A column has drifted when its effect size is at or above the threshold *and* the change is significant after
    correction for the number of columns: the first keeps large windows from alarming over nothing, the second small
    ones over chance.
    """

    window: Duration = Field(
        default=timedelta(days=7), description="The span of event time that is compared with the reference."
    )
    min_rows: int = Field(
        default=100, ge=30, description="With fewer rows a window says nothing: neither drift nor no drift."
    )
    numeric_method: DriftMethod = Field(
        default="psi",
        description="By what the distance of a numeric column from the reference is measured: population stability "
        "index, Jensen-Shannon or total variation distance.",
    )
    numeric_threshold: float = Field(
        default=0.1, gt=0, description="From which distance on a numeric column has drifted."
    )
    categorical_method: DriftMethod = Field(
        default="jensenshannon", description="The same for categorical and boolean columns."
    )
    categorical_threshold: float = Field(
        default=0.1, gt=0, description="From which distance on a categorical or boolean column has drifted."
    )
    false_discovery_rate: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="The share of false alarms among the columns called drifted (Benjamini-Hochberg).",
    )
    drifted_share: float = Field(
        default=0.3, gt=0, le=1, description="From which share of drifted columns on the window has drifted."
    )
    prediction_drift: bool = Field(
        default=True, description="Whether drift of the predictions alone makes the window drifted."
    )
    persistence: int = Field(
        default=2, ge=1, description="In how many of `persistence_windows` drift must be seen before it counts."
    )
    persistence_windows: int = Field(
        default=3,
        ge=1,
        description="How many of the newest windows are looked at for that. Windows that share more than a tenth of "
        "their rows, as those of an hourly look at a week do, count as one.",
    )
    columns: dict[str, ColumnDriftPolicy] = Field(
        default_factory=dict, description="What is different for single columns, by their names."
    )
    joint_drift: bool = Field(
        default=False, description="Whether a classifier that tells window from reference is trained as well."
    )
    joint_drift_threshold: float = Field(
        default=0.6,
        gt=0.5,
        lt=1,
        description="From which area under that classifier's ROC curve on the joint distribution has drifted.",
    )
    explanation_drift: bool = Field(
        default=True,
        description="Whether what the champion rests its answers on is compared with the reference as well.",
    )
    explanation_drift_threshold: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="From which distance of attribution profiles, from 0 to 1, on explanations have drifted.",
    )
    max_loss: float = Field(
        default=0.1, gt=0, description="By how much the primary metric may be worse than on the champion's hold-out."
    )
    loss_unit: Literal["skill", "relative", "absolute"] = Field(
        default="skill",
        description="Whether `max_loss` is a share of the champion's skill (its lead over the best constant answer), a "
        "share of the hold-out's value (`relative`), or in the metric's own unit (`absolute`). A share of "
        "the skill means the same for any metric and any noise in the labels.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="How sure a loss must be to count.")
    min_labels: int = Field(default=200, ge=1, description="With fewer mature labels realised quality isn't judged.")
    report: Literal["always", "never"] = Field(
        default="always",
        description="Whether the HTML report is drawn for every window or for none; a window whose report can't be "
        "drawn is never called healthy.",
    )
    report_rows: int = Field(
        default=5_000,
        ge=100,
        le=20_000,
        description="How many rows of either side the HTML report is drawn from; statistics use all rows.",
    )
    data_quality: DataQualityPolicy = Field(
        default_factory=DataQualityPolicy, description="From where on data that comes in counts as broken."
    )
    service_health: ServiceHealthPolicy = Field(
        default_factory=ServiceHealthPolicy, description="From where on the service counts as ill."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.persistence > self.persistence_windows:
            raise ValueError(
                f"persistence: {self.persistence!r} windows with drift can't be found among "
                f"{self.persistence_windows!r}; raise persistence_windows or lower persistence"
            )
        if self.window <= timedelta(0):
            raise ValueError(f"window: {self.window!r} spans no time; write a duration such as 7d")
        return self

    def method(self, column: str, kind: str) -> DriftMethod:
        """The method of a column of this kind (`numeric`, `categorical` or `boolean`)."""
        own = self.columns[column].method if column in self.columns else None
        return own or (self.numeric_method if kind == "numeric" else self.categorical_method)

    def threshold(self, column: str, kind: str) -> float:
        """The effect size from which on a column of this kind has drifted."""
        own = self.columns[column].threshold if column in self.columns else None
        return own or (self.numeric_threshold if kind == "numeric" else self.categorical_threshold)

    def ignored(self, column: str) -> bool:
        """Whether the column is left out of drift."""
        return column in self.columns and self.columns[column].ignore

    def loss_bound(self, holdout: float, chance: float | None = None) -> float:
        """How much worse than on the hold-out the primary metric may be, in the metric's own unit.

        Args:
            holdout: The champion's value there.
            chance: The best constant answer's value there; without it `skill` means a share of the champion's value.
        """
        if self.loss_unit == "absolute":
            return self.max_loss
        return self.max_loss * abs(holdout - (chance if chance is not None and self.loss_unit == "skill" else 0.0))
