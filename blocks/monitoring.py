"""What is watched while a model serves, and by which bounds."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from everfit.blocks.policy import Duration, Policy

DriftMethod = Literal["psi", "jensenshannon", "tvd"]
"""How far apart two distributions are: population stability index, Jensen-Shannon distance (natural logarithm),
total variation distance. The first two are those of Evidently 0.7, by the same names."""


class ColumnDriftPolicy(Policy):
    """What is different for one column.

    Attributes:
        ignore: Leave the column out of drift (a calendar column always drifts from window to window).
        method: The column's own method.
        threshold: The column's own threshold.
    """

    ignore: bool = Field(default=False, description="Leave the column out of drift.")
    method: DriftMethod | None = Field(default=None, description="The column's own method.")
    threshold: float | None = Field(default=None, gt=0, description="The column's own threshold.")


class DataQualityPolicy(Policy):
    """From where on data that comes in counts as broken rather than as changed.

    Attributes:
        missing_jump: By how much a column's missing share may rise above the reference's.
        unseen_share: What share of a column's rows may hold categories that the reference doesn't know.
        out_of_range_share: What share of a column's rows may lie outside of the reference's range.
        implausible_ranges: A value that many of the reference's ranges away is a code or another unit, not a change.
        implausible_share: What share of a column's rows may be that far away.
        frozen_share: The share of one single value from which on a column that used to vary counts as frozen.
        repeated_share: By how much the share of rows that repeat another row may rise above the reference's.
        volume_share: The share of the expected rows below which the volume is reported.
        max_age: How old the newest row may be at the window's end; by default as old as the window is long.
    """

    missing_jump: float = Field(default=0.2, gt=0, le=1, description="Allowed rise of a column's missing share.")
    unseen_share: float = Field(default=0.05, ge=0, le=1, description="Allowed share of unknown categories.")
    out_of_range_share: float = Field(default=0.05, ge=0, le=1, description="Allowed share outside of the range.")
    implausible_ranges: float = Field(default=10, gt=0, description="How many ranges away is no change but an error.")
    implausible_share: float = Field(default=0.01, ge=0, le=1, description="Allowed share of implausible values.")
    frozen_share: float = Field(default=0.95, gt=0.5, le=1, description="Share of one value that counts as frozen.")
    repeated_share: float = Field(default=0.3, gt=0, le=1, description="Allowed rise of the share of repeated rows.")
    volume_share: float = Field(default=0.5, ge=0, le=1, description="Share of the expected rows that must have come.")
    max_age: Duration | None = Field(default=None, description="Allowed age of the newest row; default: the window.")


class OperationsPolicy(Policy):
    """From where on a service that answers counts as ill; what is out of bounds is told, and trains nothing.

    Attributes:
        max_error_rate: What share of the requests may end in an error of the service's own (5xx).
        max_p99_ms: How long all but one of a hundred predictions may take; by default that isn't judged.
        max_spool_age: How old a prediction may be that the prediction log doesn't have yet.
        max_outlier_share: What share of the rows may be flagged as unlike the training data.
        token: Bearer token for the services' `/metrics`, best as `env:NAME` or `block:NAME`.
    """

    max_error_rate: float = Field(default=0.01, ge=0, le=1, description="Share of requests that may end in 5xx.")
    max_p99_ms: float | None = Field(default=None, gt=0, description="Milliseconds of all but 1 % of predictions.")
    max_spool_age: Duration = Field(
        default=timedelta(minutes=15), description="Age of a prediction that isn't in the log."
    )
    max_outlier_share: float = Field(default=0.05, ge=0, le=1, description="Share of rows that may be flagged.")
    token: SecretStr | None = Field(default=None, description="For the services' /metrics, best as env:NAME.")


class MonitoringPolicy(Policy):
    """What is watched while a model serves, and by which bounds.

    A column has drifted when its effect size is at or above the threshold *and* the change is significant after
    correction for the number of columns: the first keeps large windows from alarming over nothing, the second small
    ones over chance.

    Attributes:
        window: The span of event time that is compared with the reference.
        min_rows: Below that many rows a window says nothing: neither drift nor no drift.
        numeric_method: How far apart numeric columns are.
        numeric_threshold: From which effect size on a numeric column has drifted.
        categorical_method: How far apart categorical and boolean columns are.
        categorical_threshold: From which effect size on a categorical or boolean column has drifted.
        alpha: The share of false alarms among the columns called drifted (Benjamini-Hochberg).
        drifted_share: The share of drifted columns from which on the window has drifted.
        prediction_drift: Whether drift of the predictions alone makes the window drifted.
        persistence: In how many of `of_windows` drift must be seen before it counts.
        of_windows: How many of the newest windows are looked at for that.
        columns: What is different for single columns.
        multivariate: Whether a classifier that tells window from reference is trained as well.
        multivariate_threshold: From which area under its ROC curve on the joint distribution has drifted.
        explanations: Whether what the champion rests its answers on is compared as well.
        explanation_threshold: From which distance of attribution profiles (0 to 1) on explanations have drifted.
        max_loss: By how much the primary metric may be worse than on the champion's hold-out.
        loss_unit: Whether `max_loss` is a share of the champion's skill (its lead over the best constant answer), a
            share of the hold-out's value, or in the metric's own unit. A share of the skill means the same for any
            metric and any noise in the labels.
        confidence: How sure a loss must be.
        min_labels: Below that many mature labels realised quality isn't judged.
        report: Whether the HTML report is drawn for every window or for none; a window whose report can't be drawn is
            never called healthy.
        report_rows: How many rows of either side the HTML report is drawn from; statistics use all rows.
        quality: From where on data counts as broken.
        operations: From where on the service counts as ill.
    """

    window: Duration = Field(default=timedelta(days=7), description="The span that is compared with the reference.")
    min_rows: int = Field(default=100, ge=30, description="Below that many rows a window says nothing.")
    numeric_method: DriftMethod = Field(default="psi", description="How far apart numeric columns are.")
    numeric_threshold: float = Field(default=0.1, gt=0, description="Effect size of drift in a numeric column.")
    categorical_method: DriftMethod = Field(default="jensenshannon", description="How far apart categories are.")
    categorical_threshold: float = Field(default=0.1, gt=0, description="Effect size of drift in categories.")
    alpha: float = Field(default=0.05, gt=0, lt=1, description="Share of false alarms among drifted columns.")
    drifted_share: float = Field(default=0.3, gt=0, le=1, description="Share of drifted columns that is drift.")
    prediction_drift: bool = Field(default=True, description="Drift of the predictions alone is drift.")
    persistence: int = Field(default=2, ge=1, description="In how many windows drift must be seen to count.")
    of_windows: int = Field(default=3, ge=1, description="Among how many of the newest windows.")
    columns: dict[str, ColumnDriftPolicy] = Field(default_factory=dict, description="Exceptions for single columns.")
    multivariate: bool = Field(default=False, description="Train a classifier that tells window from reference.")
    multivariate_threshold: float = Field(default=0.6, gt=0.5, lt=1, description="Its ROC AUC that is drift.")
    explanations: bool = Field(default=True, description="Compare what the champion rests its answers on.")
    explanation_threshold: float = Field(default=0.2, gt=0, le=1, description="Distance of explanations that is drift.")
    max_loss: float = Field(default=0.1, gt=0, description="Allowed loss of the primary metric against the hold-out.")
    loss_unit: Literal["skill", "relative", "absolute"] = Field(default="skill", description="Unit of max_loss.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="How sure a loss must be.")
    min_labels: int = Field(default=200, ge=1, description="Mature labels needed to judge realised quality.")
    report: Literal["always", "never"] = Field(default="always", description="Whether the HTML report is drawn.")
    report_rows: int = Field(default=5_000, ge=100, le=20_000, description="Rows of either side drawn in the report.")
    quality: DataQualityPolicy = Field(default_factory=DataQualityPolicy, description="When data counts as broken.")
    operations: OperationsPolicy = Field(default_factory=OperationsPolicy, description="When the service is ill.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.persistence > self.of_windows:
            raise ValueError(
                f"persistence: {self.persistence!r} windows with drift can't be found among {self.of_windows!r}; "
                "raise of_windows or lower persistence"
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
