"""How a challenger that passed the gate is tried on live traffic before it takes the champion's place."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.policy import Duration, Policy

Share = Annotated[float, Field(gt=0, lt=1)]


class TrialPolicy(Policy):
    """What every trial watches, and when it is given up."""

    min_rows: int = Field(
        default=200, ge=1, description="How many answers of the challenger a step needs, however long it takes."
    )
    min_labels: int = Field(
        default=200,
        ge=20,
        description="How many of its answers need a mature label before quality says anything; a trial that is to end "
        "with a release waits for them.",
    )
    max_time: Duration = Field(
        default=timedelta(days=30),
        description="After that long a challenger that isn't shown to be good enough is taken back.",
    )
    max_error_rate: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="The share of requests that it may fail on; surely more, and it is taken back.",
    )
    max_latency_ratio: float = Field(
        default=2.0,
        gt=1,
        description="Beyond how many times the champion's 95th percentile a request counts as slow; 5 % may be.",
    )
    slow_from: Duration = Field(
        default=timedelta(seconds=0.02),
        description="Below this no request counts as slow, however fast the champion is.",
    )
    margin: float = Field(
        default=0.0, ge=0, description="By how much quality may be lower than the champion's, in the metric's unit."
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="How sure it is, over all looks of all checks together, that a challenger as good as the champion "
        "isn't taken back.",
    )


class CanaryPolicy(TrialPolicy):
    """A share of traffic that grows by steps."""

    kind: Literal["canary"] = Field(default="canary", description="A share of traffic that grows by steps.")
    shares: tuple[Share, ...] = Field(
        default=(0.05, 0.2, 0.5),
        min_length=1,
        description="The shares of the keys that the challenger answers, step by step.",
    )
    bake_time: Duration = Field(default=timedelta(days=1), description="How long a step lasts at least, in event time.")

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.shares)):
            raise ValueError(
                f"shares {list(self.shares)} do not grow from step to step; write them like [0.05, 0.2, 0.5]"
            )
        return self


class AbPolicy(TrialPolicy):
    """A fixed split until a sequential test has decided."""

    kind: Literal["ab"] = Field(default="ab", description="A fixed split.")
    share: Share = Field(default=0.5, description="The share of the keys that the challenger answers.")
    bake_time: Duration = Field(
        default=timedelta(days=7), description="How long the trial lasts at least, in event time."
    )

    @property
    def shares(self) -> tuple[float, ...]:
        """Its one step."""
        return (self.share,)
