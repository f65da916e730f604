"""The causes of a new training, and how often it may start by itself."""

from datetime import timedelta
from typing import Literal, Self, get_args

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.policy import Duration, Policy, format_duration
from everfit.blocks.sources import Source


class NewDataPolicy(Policy):
    """How many newly labelled rows start a training; either limit is enough."""

    rows: int | None = Field(
        default=None, ge=1, description="The number of rows whose label matured since the last turn."
    )
    share: FiniteFloat | None = Field(
        default=None, gt=0, description="The same number as a share of the champion's training rows."
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.rows is None and self.share is None:
            raise ValueError("new_data sets no limit; give rows or share")
        return self


class UserMetricPolicy(Policy):
    """A metric of your own, such as an acceptance rate, that must stay within limits.

    Its mean over the rows of a monitoring window counts.
    """

    metric: str = Field(min_length=1, description="The name of the metric, which is the column that holds it.")
    source: Source = Field(description="The source of the metric.")
    time: str = Field(min_length=1, description="The column with the time of each measurement.")
    at_least: FiniteFloat | None = Field(default=None, description="The lowest allowed value.")
    at_most: FiniteFloat | None = Field(default=None, description="The highest allowed value.")

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"user_metrics: {self.metric!r} has no limit; give at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"user_metrics: {self.metric!r} can't be at least {self.at_least!r} and at most {self.at_most!r}"
            )
        return self


class BudgetPolicy(Policy):
    """How many turns may start by themselves within a span of time."""

    turns: int = Field(default=60, ge=0, description="The largest number of turns that start by themselves.")
    per: Duration = Field(default=timedelta(days=30), description="The span of time that the number holds for.")


class CostBenefitPolicy(Policy):
    """The value of quality and the cost of a turn, so that a turn runs only where it pays."""

    unit: str = Field(default="", description="The unit of value and cost, such as EUR, for the reader.")
    value_per_metric_unit: FiniteFloat = Field(
        gt=0, description="The value of one whole unit of the primary metric on one row."
    )
    horizon: Duration = Field(default=timedelta(days=90), description="The expected time of use of a new model.")
    cost_per_turn: FiniteFloat | None = Field(
        default=None, ge=0, description="The cost of a turn. By default it is the mean cost of past turns."
    )
    cost_per_hour: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="The cost of one hour of a turn, from which the cost of past turns follows.",
    )


Remedy = Literal["threshold", "prior_shift", "intercept", "recalibration", "former_champion", "refit"]
REMEDIES: tuple[Remedy, ...] = get_args(Remedy)
"""The remedies that are smaller than a full search, the smallest first."""


class RetrainingPolicy(Policy):
    """The causes of a new training, and how often it may start by itself.

    Retraining helps when quality is lost and there is newer data to learn from. Drift without a loss is only watched.
    """

    on: Literal["loss", "drift", "nothing"] = Field(
        default="loss",
        description="The signal that starts a training. `loss`: lost quality. `drift`: also drift that persists "
        "without a loss. `nothing`: a loss is only reported to a person, and only the keys below start trainings.",
    )
    schedule: Duration | None = Field(
        default=None,
        description="The time after the last turn at which the model is retrained. By default age alone starts no"
        " training.",
    )
    cadence: Literal["adaptive", "never"] = Field(
        default="adaptive",
        description="Whether a training is tried when there are enough rows with mature labels that the champion has "
        "not seen: at first twice the gate's `min_rows` and `min_class_rows`, over at least a monitoring window, and "
        "after each try in vain when they have grown by `back_off_factor`. `never` waits for the other signals.",
    )
    new_data: NewDataPolicy | None = Field(
        default=None,
        description="The amount of newly labelled data that starts a training, in place of `cadence`.",
    )
    user_metrics: tuple[UserMetricPolicy, ...] = Field(
        default=(), description="Metrics of your own, such as an acceptance rate, that must stay within limits."
    )
    code: bool = Field(default=False, description="Whether a changed spec or package version starts a training.")
    cooldown: Duration = Field(
        default=timedelta(hours=12),
        description="The shortest span of event time between two turns that start by themselves.",
    )
    budget: BudgetPolicy = Field(
        default_factory=BudgetPolicy, description="How many turns may start by themselves within a span of time."
    )
    back_off: Duration | None = Field(
        default=None,
        description="The wait after a retraining that did not help. It grows by `back_off_factor` with each further "
        "one. By default the next attempt waits until the rows that the champion has not seen have grown by that "
        "factor.",
    )
    back_off_factor: FiniteFloat = Field(
        default=2.0,
        ge=1,
        description="How much the rows that the champion has not seen must grow before a turn is tried again after "
        "one in vain. At 2 they must have doubled. After a gain that was not certain, "
        "less growth is enough: as much as makes the measured gain certain, and a third at least.",
    )
    escalate_after: int = Field(
        default=3, ge=1, description="The number of retrainings without improvement after which a person is notified."
    )
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        description="The number of retrainings without improvement after which only a person can start another "
        "one for the same reason. By default there is no such number: each attempt needs more new rows than the last.",
    )
    attempts_within: Duration = Field(default=timedelta(days=730), description="How long an attempt counts.")
    failure_back_off: Duration = Field(
        default=timedelta(hours=1),
        description="The wait after a turn that failed or whose data was rejected. It grows by `back_off_factor` "
        "with each further failure in a row.",
    )
    max_failures: int = Field(
        default=3,
        ge=1,
        le=100,
        description="The number of failed turns in a row after which a person is notified. After that everfit "
        "retries once per `budget.per`.",
    )
    false_alarm_windows: int = Field(
        default=200,
        ge=1,
        description="The number of windows over which `monitoring.confidence` holds as a whole. Each window is "
        "tested for a loss, so each single test must be stricter.",
    )
    min_trust: FiniteFloat = Field(
        default=0.5,
        ge=0,
        le=1,
        description="How far estimates of quality without labels must be trusted before everfit acts on them, from 0 "
        "to 1. Estimates earn trust when labels confirm them later.",
    )
    data_problem_windows: int = Field(
        default=3,
        ge=1,
        description="The number of consecutive windows after which a data problem is escalated to a person.",
    )
    remedies: bool | tuple[Remedy, ...] = Field(
        default=False,
        exclude_if=lambda remedies: not remedies,
        description="The remedies that a turn tries before a search among candidates: `threshold`, `prior_shift` (the "
        "odds follow the classes' shares), `intercept` (a constant shift), `recalibration` (a shift and another "
        "scale), `former_champion` (an earlier version), `refit` (the champion's settings on newer rows). The "
        "smallest one that is enough is judged by the gate and released without a search. `true` tries them all. Only "
        "rows with event times allow it. The first four need a metric that sees more than the order of the answers; "
        "for `threshold`, a `training.business_value` does too.",
    )
    cost_benefit: CostBenefitPolicy | None = Field(
        default=None, description="The value of quality and the cost of a turn. Without it a loss alone decides."
    )

    @property
    def tried_remedies(self) -> tuple[Remedy, ...]:
        """The remedies that a turn tries, the smallest first."""
        if isinstance(self.remedies, bool):
            return REMEDIES if self.remedies else ()
        return tuple(name for name in REMEDIES if name in self.remedies)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("schedule", "back_off", "failure_back_off", "attempts_within"):
            span: timedelta | None = getattr(self, name)
            if span is not None and span <= timedelta(0):
                raise ValueError(f"{name}: {format_duration(span)!r} is empty or negative; give a duration such as 7d")
        if self.cooldown < timedelta(0):
            raise ValueError(f"cooldown: {format_duration(self.cooldown)!r} is negative; give 0s or more")
        return self
