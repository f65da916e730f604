"""The signals that are measured while a model serves, and their limits."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.labelling import LabelQueuePolicy
from everfit.blocks.live_limits import LiveCalibrationPolicy, LiveFairnessPolicy
from everfit.blocks.policy import Duration, Policy, format_duration
from everfit.blocks.signals import SignalPolicy

DriftMethod = Literal["psi", "jensenshannon", "tvd"]
"""The distance of two distributions: population stability index, Jensen-Shannon distance (natural logarithm),
total variation distance. The first two are those of Evidently 0.7, by the same names."""


class ColumnDriftPolicy(Policy):
    """Settings of drift for one column."""

    ignore: bool = Field(
        default=False,
        description="Whether the column is left out of drift, such as a calendar column, which drifts in every window.",
    )
    method: DriftMethod | None = Field(
        default=None, description="The distance for this column, in place of `numeric_method` or `categorical_method`."
    )
    threshold: float | None = Field(default=None, gt=0, description="The threshold for this column.")


class DataQualityPolicy(Policy):
    """The limits beyond which incoming data counts as broken and not merely as changed."""

    missing_jump: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="The largest rise of a column's share of missing values above the reference.",
    )
    unseen_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The largest share of a column's rows with categories that the reference doesn't have.",
    )
    out_of_range_share: float = Field(
        default=0.05, ge=0, le=1, description="The largest share of a column's rows outside of the reference's range."
    )
    implausible_ranges: float = Field(
        default=10,
        gt=0,
        description="The distance of a value from the reference, as a multiple of its range, beyond which it is "
        "taken for an error code or another unit.",
    )
    implausible_share: float = Field(
        default=0.01, ge=0, le=1, description="The largest share of a column's rows at such a distance."
    )
    frozen_share: float = Field(
        default=0.95,
        gt=0.5,
        le=1,
        description="The share of one single value from which a column that used to vary counts as frozen.",
    )
    repeated_share: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="The largest rise of the share of duplicate rows above the reference.",
    )
    volume_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The smallest share of the expected number of rows; a lower volume is reported.",
    )
    max_age: Duration | None = Field(
        default=None,
        description="The largest age of the newest row at the end of the window. By default it is the length of "
        "the window.",
    )


class ServiceHealthPolicy(Policy):
    """The limits beyond which a running service counts as unhealthy.

    An unhealthy service is reported to a person and starts no training.
    """

    max_error_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The largest share of requests that end in a server error (5xx).",
    )
    max_p99_ms: float | None = Field(
        default=None,
        gt=0,
        description="The largest p99 latency of a prediction, in milliseconds. By default latency is not judged.",
    )
    max_spool_age: Duration = Field(
        default=timedelta(minutes=15),
        description="The largest age of a prediction that has not reached the prediction log.",
    )
    max_outlier_share: float = Field(
        default=0.05, ge=0, le=1, description="The largest share of rows that are flagged as unlike the training data."
    )
    token: SecretStr | None = Field(
        default=None,
        description="A token of the services for their `/metrics`, best as `env:NAME` or `block:NAME`. A service "
        "with a token file answers 401 without it, and each monitoring run reports that.",
    )


class MonitoringPolicy(Policy):
    """The signals that are measured while a model serves, and their limits.

    A column has drifted when its distance from the reference reaches the threshold *and* the change is significant
    after a correction for the number of columns. The first condition prevents alarms about trifles in large windows,
    the second prevents alarms by chance in small ones.
    """

    window: Duration = Field(
        default=timedelta(days=7),
        description="The span of event time that is compared with the reference. If the last run of monitoring is "
        "longer ago, the window begins there. For quality, earlier windows are added until there are `min_labels` "
        "labels.",
    )
    min_rows: int = Field(
        default=100, ge=30, description="The smallest number of rows of a window; drift of a smaller window is unknown."
    )
    numeric_method: DriftMethod = Field(
        default="psi",
        description="The distance of numeric columns: population stability index, Jensen-Shannon or total variation.",
    )
    numeric_threshold: float = Field(
        default=0.1, gt=0, description="The distance from which a numeric column has drifted."
    )
    categorical_method: DriftMethod = Field(
        default="jensenshannon", description="The distance of categorical and boolean columns."
    )
    categorical_threshold: float = Field(
        default=0.1, gt=0, description="The distance from which a categorical or boolean column has drifted."
    )
    false_discovery_rate: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="The expected share of false alarms among the drifted columns (Benjamini-Hochberg).",
    )
    drifted_share: float = Field(
        default=0.3, gt=0, le=1, description="The share of drifted columns from which the whole window has drifted."
    )
    prediction_drift: bool = Field(
        default=True, description="Whether drift of the predictions alone makes the whole window drifted."
    )
    persistence: int = Field(
        default=2,
        ge=1,
        description="The number of drifted windows, out of the newest `persistence_windows`, from which drift "
        "counts as persistent. Columns that are as in the same weeks of the year before are named, and are no news.",
    )
    persistence_windows: int = Field(
        default=3,
        ge=1,
        description="The number of newest windows among which persistent drift is sought. Windows that share more"
        " than a tenth of their rows, such as hourly runs over the same week, count as one.",
    )
    columns: dict[str, ColumnDriftPolicy] = Field(
        default_factory=dict, description="Settings of single columns, by name."
    )
    joint_drift: bool = Field(
        default=False,
        description="Whether a classifier is trained to distinguish the window from the reference, which finds "
        "drift that no single column shows.",
    )
    joint_drift_threshold: float = Field(
        default=0.6,
        gt=0.5,
        lt=1,
        description="The area under that classifier's ROC curve from which the joint distribution has drifted.",
    )
    explanation_drift: bool = Field(
        default=True,
        description="Whether the importance of the features for the champion's predictions is compared with the "
        "reference.",
    )
    explanation_drift_threshold: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="The distance of the importance profiles, from 0 to 1, from which the explanations have drifted.",
    )
    max_loss: float = Field(
        default=0.1, gt=0, description="The largest loss of the primary metric against the champion's hold-out."
    )
    loss_unit: Literal["skill", "relative", "absolute"] = Field(
        default="skill",
        description="The unit of `max_loss`: a share of the champion's lead over the best constant prediction "
        "(`skill`), a share of the hold-out's value (`relative`), or the metric's own unit "
        "(`absolute`). A share of the skill means the same for every metric and every amount of label"
        " noise.",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="The confidence with which a loss must be shown before it counts."
    )
    min_labels: int = Field(
        default=200, ge=1, description="The smallest number of mature labels by which quality is judged."
    )
    label_delays: Literal["watch", "ignore"] = Field(
        default="watch",
        exclude_if=lambda choice: choice == "watch",
        description="Whether monitoring estimates how long labels take and warns if `maturity` no longer fits: `watch` "
        "or `ignore`. It needs labels that have a time at which they became known.",
    )
    report: Literal["daily", "always", "never"] = Field(
        default="daily",
        description="When an HTML report is drawn: `daily` for the first look of a day and when columns drift that had "
        "not drifted in the look before, `always` for every look. A window whose report fails is never called healthy.",
    )
    report_rows: int = Field(
        default=5_000,
        ge=100,
        le=20_000,
        description="The number of rows of window and reference that the HTML report is drawn from. Statistics "
        "always use all rows.",
    )
    data_quality: DataQualityPolicy = Field(
        default_factory=DataQualityPolicy, description="The limits beyond which incoming data counts as broken."
    )
    service_health: ServiceHealthPolicy = Field(
        default_factory=ServiceHealthPolicy, description="The limits beyond which the service counts as unhealthy."
    )
    clients: ClientsPolicy = Field(
        default_factory=ClientsPolicy,
        exclude_if=lambda policy: policy == ClientsPolicy(),
        description="How far one client of the prediction service is trusted in monitoring and traffic trials.",
    )
    label_queue: LabelQueuePolicy = Field(
        default_factory=LabelQueuePolicy,
        exclude_if=lambda policy: policy == LabelQueuePolicy(),
        description="How people label rows by hand.",
    )
    fairness: LiveFairnessPolicy | None = Field(
        default=None,
        exclude_if=lambda policy: policy is None,
        description="Limits between the groups of `columns.protected` in use. By default there is none; where "
        "`gate.fairness` is set, fairness is measured in each window anyway.",
    )
    calibration: LiveCalibrationPolicy | None = Field(
        default=None,
        exclude_if=lambda policy: policy is None,
        description="A limit on the error of the probabilities in use. By default there is none; where "
        "`gate.calibration` is set, it is measured in each window anyway.",
    )
    signals: tuple[SignalPolicy, ...] = Field(
        default=(),
        description="Signals that functions of your own measure in every window. A bare `package.module:function` "
        "stands for a signal without bounds.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.persistence > self.persistence_windows:
            raise ValueError(
                f"persistence: {self.persistence!r} drifted windows are impossible among "
                f"{self.persistence_windows!r}; raise persistence_windows or lower persistence"
            )
        titles = [signal.title for signal in self.signals]
        if twice := [title for title in titles if titles.count(title) > 1]:
            raise ValueError(f"signals: {twice[0]!r} is the name of two signals; give one of them another name")
        if self.window <= timedelta(0):
            raise ValueError(
                f"window: {format_duration(self.window)!r} is empty or negative; give a duration such as 7d"
            )
        return self

    def method(self, column: str, kind: str) -> DriftMethod:
        """Return the distance for a column of a kind: `numeric`, `categorical` or `boolean`."""
        own = self.columns[column].method if column in self.columns else None
        return own or (self.numeric_method if kind == "numeric" else self.categorical_method)

    def threshold(self, column: str, kind: str) -> float:
        """Return the distance from which a column of a kind has drifted."""
        own = self.columns[column].threshold if column in self.columns else None
        return own or (self.numeric_threshold if kind == "numeric" else self.categorical_threshold)

    def ignored(self, column: str) -> bool:
        """Return whether the column is left out of drift."""
        return column in self.columns and self.columns[column].ignore

    def loss_bound(self, holdout: float, chance: float | None = None) -> float:
        """Return the largest loss of the primary metric against the hold-out, in the metric's own unit.

        Args:
            holdout: The champion's value on the hold-out.
            chance: The value of the best constant prediction on the hold-out. Without it `skill` means a share of the
                champion's value.
        """
        if self.loss_unit == "absolute":
            return self.max_loss
        return self.max_loss * abs(holdout - (chance if chance is not None and self.loss_unit == "skill" else 0.0))
