"""What calls for a new training, and how often at most."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.policy import Duration, Policy
from everfit.blocks.sources import Source


class NewDataPolicy(Policy):
    """How much newly matured data calls for a training; either bound is enough."""

    rows: int | None = Field(
        default=None, ge=1, description="How many rows must have got a mature label since the last turn."
    )
    share: FiniteFloat | None = Field(
        default=None, gt=0, description="The same as a share of the rows that the champion was trained on."
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.rows is None and self.share is None:
            raise ValueError("new_data has no bound; give rows or share")
        return self


class UserMetricPolicy(Policy):
    """A figure of the users' own, such as an acceptance rate, that must stay within a bound.

    Its mean over the rows of a monitoring window is what counts.
    """

    metric: str = Field(min_length=1, description="The figure's name: the column that holds it.")
    source: Source = Field(description="Where the figure comes from.")
    time: str = Field(min_length=1, description="The column that says when each row of it was measured.")
    at_least: FiniteFloat | None = Field(default=None, description="The lowest value that is good enough.")
    at_most: FiniteFloat | None = Field(default=None, description="The highest value that is good enough.")

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"user_metrics: {self.metric!r} has no bound; give at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"user_metrics: {self.metric!r} can't be at least {self.at_least!r} and at most {self.at_most!r}"
            )
        return self


class BudgetPolicy(Policy):
    """How many turns may start by themselves within a span."""

    turns: int = Field(default=12, ge=0, description="How many turns may start by themselves.")
    per: Duration = Field(default=timedelta(days=30), description="In any span of this length.")


class CostBenefitPolicy(Policy):
    """What quality is worth and what a turn costs, so that a turn is run only where it pays."""

    unit: str = Field(default="", description="The unit of value and cost, for the reader.")
    value_per_metric_unit: FiniteFloat = Field(
        gt=0, description="What one whole unit of the primary metric is worth on one row."
    )
    horizon: Duration = Field(
        default=timedelta(days=90), description="For how long a new model is expected to be of use."
    )
    cost_per_turn: FiniteFloat | None = Field(
        default=None, ge=0, description="What a turn costs; by default the mean of past turns."
    )
    cost_per_hour: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="What an hour of a turn costs, to work out past turns' cost from their duration.",
    )


class RetrainingPolicy(Policy):
    """What calls for a new training, and how often at most.

    Retraining helps when quality is lost and there is newer data to learn from. Drift without loss is watched.
    """

    on: Literal["loss", "drift", "nothing"] = Field(
        default="loss",
        description="When a turn starts by itself. `loss`: when quality is lost. `drift`: also when drift persists "
        "without loss. `nothing`: a loss is told to a person, and only the keys below start a turn.",
    )
    schedule: Duration | None = Field(
        default=None, description="Retrain when the last turn is that long ago; by default age alone calls for nothing."
    )
    new_data: NewDataPolicy | None = Field(
        default=None,
        description="Retrain when so much newly matured data has come; by default new data alone calls for nothing.",
    )
    user_metrics: tuple[UserMetricPolicy, ...] = Field(
        default=(), description="Figures of the users' own, such as an acceptance rate, that must stay within bounds."
    )
    code: bool = Field(default=False, description="Whether a changed spec or package version calls for a turn.")
    cooldown: Duration = Field(
        default=timedelta(hours=12),
        description="The least span of event time between two turns that start by themselves.",
    )
    budget: BudgetPolicy = Field(
        default_factory=BudgetPolicy, description="How many turns may start by themselves within a span."
    )
    back_off: Duration | None = Field(
        default=None,
        description="How long to wait after a retraining that did not help; by default one monitoring window.",
    )
    back_off_factor: FiniteFloat = Field(
        default=2.0,
        ge=1,
        description="By how many times each further wait is longer. At 2 there is twice as much new to learn from at "
        "each attempt.",
    )
    escalate_after: int = Field(
        default=3, ge=1, description="After so many retrainings that did not help, a person is asked."
    )
    max_attempts: int = Field(
        default=6, ge=1, description="After so many, only a person can start another for the same reason."
    )
    attempts_within: Duration = Field(default=timedelta(days=730), description="For how long an attempt counts.")
    failure_back_off: Duration = Field(
        default=timedelta(hours=1),
        description="How long to wait after a turn that broke off or whose data was rejected; each further one in a row"
        " is waited after for `back_off_factor` times as long.",
    )
    max_failures: int = Field(
        default=3,
        ge=1,
        le=100,
        description="After so many turns in a row that broke off, a person is asked; from then on one is tried in a "
        "span of the budget (`budget.per`).",
    )
    false_alarm_windows: int = Field(
        default=200,
        ge=1,
        description="Over how many windows `monitoring.confidence` is to hold: a loss is looked for in every window, so"
        " each look must be surer.",
    )
    min_trust: FiniteFloat = Field(
        default=0.5,
        ge=0,
        le=1,
        description="From which trust on, which past estimates earn, quality that was estimated without labels is acted"
        " on.",
    )
    data_problem_windows: int = Field(
        default=3, ge=1, description="After so many windows with it a data problem is no glitch, and a person is asked."
    )
    cost_benefit: CostBenefitPolicy | None = Field(
        default=None, description="What quality is worth and what a turn costs; without it a loss alone decides."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("schedule", "back_off", "failure_back_off", "attempts_within"):
            span: timedelta | None = getattr(self, name)
            if span is not None and span <= timedelta(0):
                raise ValueError(f"{name}: {span!r} spans no time; write a duration such as 7d")
        if self.cooldown < timedelta(0):
            raise ValueError(f"cooldown: {self.cooldown!r} is negative; write 0s for none at all")
        return self
