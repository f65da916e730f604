"""How the prediction service serves a model: limits, durability, unusual inputs, and answers with their uncertainty."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.metrics import TaskKind
from everfit.blocks.policy import Duration, Policy


class AbstainPolicy(Policy):
    """Which answers are too unsure. A person is to label their rows."""

    wider_than: float | None = Field(
        default=None,
        gt=0,
        description="An answer of a regression is too unsure if its interval is wider than this, in the target's unit.",
    )
    more_than_one_class: bool = Field(
        default=False, description="Whether an answer is too unsure if its set has more than one class."
    )
    below: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="An answer is too unsure if the probability of the most probable class is below this.",
    )

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if self.wider_than is None and self.below is None and not self.more_than_one_class:
            raise ValueError("it has no rule; set wider_than, more_than_one_class or below, or remove abstain")
        return self

    @property
    def of_intervals(self) -> bool:
        """Whether a rule is about intervals or sets."""
        return self.wider_than is not None or self.more_than_one_class


class ServingPolicy(Policy):
    """How the prediction service serves a model."""

    max_rows: int = Field(default=10_000, ge=1, description="The largest number of rows of a request.")
    max_days: int = Field(
        default=366,
        ge=1,
        description="The largest number of different days, by event time or label time, of a request's rows. The tables"
        " have a file for each day of a write.",
    )
    label_clients: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda clients: not clients,
        description="The clients with the right to send labels. By default every client has it.",
    )
    labels_of: Literal["any", "own"] = Field(
        default="any",
        exclude_if=lambda whose: whose == "any",
        description="The predictions that a client may label over HTTP: `any`, or its `own`, which the prediction log "
        "shows that it has asked for.",
    )
    max_age: Duration = Field(
        default=timedelta(days=18_250),
        gt=timedelta(0),
        exclude_if=lambda age: age == timedelta(days=18_250),
        description="How long ago the event time of a row may be. Older rows are refused with 422.",
    )
    max_ahead: Duration = Field(
        default=timedelta(days=3_650),
        ge=timedelta(0),
        exclude_if=lambda ahead: ahead == timedelta(days=3_650),
        description="How far in the future the event time of a row may be. Rows further ahead are refused with 422.",
    )
    max_body: int = Field(default=16 * 2**20, ge=1024, description="The largest size of a request's body, in bytes.")
    max_waiting: int = Field(
        default=50_000,
        ge=1,
        description="The largest number of rows that wait for their prediction. Further rows are answered with 503.",
    )
    max_concurrent: int = Field(default=256, ge=1, description="The largest number of open requests of one client.")
    rate: float | None = Field(
        default=None,
        gt=0,
        description="The largest number of requests per second of one client. By default there is no limit.",
    )
    new_categories: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="The answer to a category that training hasn't seen: `refuse` answers 422, `accept` leaves it"
        " to the model.",
    )
    outlier_above: float = Field(
        default=0.999,
        ge=0,
        le=1,
        description="The outlier score from which an input is flagged: the share of usual rows that are more like"
        " the training data.",
    )
    outliers: Literal["log", "refuse"] = Field(
        default="log", description="The answer to a flagged input: `log` predicts and counts it, `refuse` answers 422."
    )
    probing: Literal["log", "refuse", "ignore"] = Field(
        default="log",
        description="The answer to clients that seem to probe the model, by many inputs that hardly differ or "
        "predictions near a boundary: `log` flags and counts their requests, `refuse` answers 429, "
        "`ignore` doesn't check.",
    )
    probing_rows: int = Field(
        default=200, ge=20, description="The number of a client's last inputs by which it is judged."
    )
    probing_share: float = Field(
        default=0.8, gt=0, le=1, description="The share of suspicious inputs from which a client is flagged."
    )
    probing_for: Duration = Field(default=timedelta(minutes=5), description="How long a client stays flagged.")
    durability: Literal["process", "disk"] = Field(
        default="process",
        description="The durability of an answered prediction: `process` survives SIGKILL, but a power cut may "
        "lose predictions since the last drain; `disk` survives a power cut too, for one flush of the"
        " disk (0.2 to 10 ms) per micro-batch.",
    )
    spool_bytes: int = Field(
        default=2**30,
        ge=2**16,
        description="The largest size of the spool, in bytes, while the prediction log can't be reached. Beyond "
        "it requests are answered with 503.",
    )
    shadow: bool = Field(
        default=False,
        description="Whether a challenger predicts the same requests as the champion. Its predictions are logged "
        "and never returned.",
    )
    intervals: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        exclude_if=lambda level: level is None,
        description="The share of answers whose interval (regression) or set of classes (classification) must have "
        "the true value, such as 0.9. By default answers have neither.",
    )
    abstain: AbstainPolicy | None = Field(
        default=None,
        exclude_if=lambda policy: policy is None,
        description="Which answers are too unsure. They are answered all the same, are marked with `abstained`, and go "
        "into the labelling queue. By default none are.",
    )
    drain_every: Duration = Field(
        default=timedelta(seconds=5), description="The interval at which the spool is moved into the prediction log."
    )
    follow_every: Duration = Field(
        default=timedelta(seconds=1),
        description="The interval at which the service looks for a new champion in the registry.",
    )

    @model_validator(mode="after")
    def _has_intervals_to_abstain_by(self) -> Self:
        if self.abstain is not None and self.abstain.of_intervals and self.intervals is None:
            raise ValueError(
                "abstain.wider_than and abstain.more_than_one_class need intervals; set intervals, such as 0.9"
            )
        return self

    def check(self, task: TaskKind) -> None:
        """Refuse a rule for abstaining that the kind of prediction doesn't have.

        Raises:
            ValueError: There is one.
        """
        rules = self.abstain
        if rules is None:
            return
        if task == "regression" and (rules.more_than_one_class or rules.below is not None):
            raise ValueError(
                "release.serving.abstain: a regression has no classes; use wider_than, or remove the other rules"
            )
        if task != "regression" and rules.wider_than is not None:
            raise ValueError(
                "release.serving.abstain: wider_than is for a regression; use more_than_one_class or below"
            )
