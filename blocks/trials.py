"""How a challenger that passed the gate is tried on live traffic before it takes the champion's place."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.policy import Duration, Policy

Share = Annotated[float, Field(gt=0, lt=1)]


class TrialPolicy(Policy):
    """What every trial watches, and when it is given up.

    Attributes:
        min_rows: So many answers of the challenger a step needs, however long it takes.
        min_labels: So many of its answers need a mature label before quality says anything; a trial that is to end
            with a release waits for them.
        max_time: A challenger that isn't shown to be good enough by then is taken back.
        max_error_rate: Surely more failed requests than this share, and it is taken back.
        max_latency_ratio: Requests count as slow beyond so many times the champion's 95th percentile.
        slow_from: No request counts as slow that took less, however fast the champion is.
        margin: Quality may be lower than the champion's by so much, in the metric's unit.
        confidence: That a challenger as good as the champion isn't taken back, over all looks of all checks together.
    """

    min_rows: int = Field(default=200, ge=1, description="Answers of the challenger that a step needs.")
    min_labels: int = Field(default=200, ge=20, description="Mature labels of its answers that quality needs.")
    max_time: Duration = Field(default=timedelta(days=30), description="After that it is taken back.")
    max_error_rate: float = Field(default=0.01, gt=0, lt=1, description="Share of requests that it may fail on.")
    max_latency_ratio: float = Field(
        default=2.0, gt=1, description="Slow: so many times the champion's 95th percentile."
    )
    slow_from: Duration = Field(default=timedelta(seconds=0.02), description="Nothing below this is slow.")
    margin: float = Field(default=0.0, ge=0, description="By how much quality may be lower than the champion's.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Over all looks of all checks together.")


class CanaryPolicy(TrialPolicy):
    """A share of traffic that grows by steps.

    Attributes:
        shares: Of the keys that the challenger answers, step by step.
        bake_time: How long a step lasts at least, in event time.
    """

    kind: Literal["canary"] = "canary"
    shares: tuple[Share, ...] = Field(default=(0.05, 0.2, 0.5), min_length=1, description="Of the keys, step by step.")
    bake_time: Duration = Field(default=timedelta(days=1), description="How long a step lasts at least.")

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.shares)):
            raise ValueError(
                f"shares {list(self.shares)} do not grow from step to step; write them like [0.05, 0.2, 0.5]"
            )
        return self


class AbPolicy(TrialPolicy):
    """A fixed split until a sequential test has decided.

    Attributes:
        share: Of the keys that the challenger answers.
        bake_time: How long the trial lasts at least, in event time.
    """

    kind: Literal["ab"] = "ab"
    share: Share = Field(default=0.5, description="Of the keys.")
    bake_time: Duration = Field(default=timedelta(days=7), description="How long the trial lasts at least.")

    @property
    def shares(self) -> tuple[float, ...]:
        """Its one step."""
        return (self.share,)
