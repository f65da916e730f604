"""Traffic trials: how a challenger that passed the gate is tested on live traffic before its release."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.policy import Duration, Policy

Share = Annotated[float, Field(gt=0, lt=1)]


class TrialPolicy(Policy):
    """Settings of every traffic trial: what is measured, and when the challenger is withdrawn."""

    min_rows: int = Field(
        default=200, ge=1, description="The smallest number of the challenger's predictions in each step."
    )
    min_labels: int = Field(
        default=200,
        ge=20,
        description="The smallest number of the challenger's predictions with a mature label before quality is "
        "judged. A trial waits for them before it can end with a release.",
    )
    max_time: Duration = Field(
        default=timedelta(days=30),
        description="The time after which a challenger that is not shown to be good enough is withdrawn.",
    )
    max_error_rate: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="The largest share of failed requests. A challenger that surely exceeds it is withdrawn.",
    )
    max_latency_ratio: float = Field(
        default=2.0,
        gt=1,
        description="The multiple of the champion's p95 latency beyond which a request counts as slow. 5 % of the"
        " requests may be slow.",
    )
    slow_from: Duration = Field(
        default=timedelta(seconds=0.02),
        description="The latency below which no request counts as slow, however fast the champion is.",
    )
    margin: float = Field(
        default=0.0, ge=0, description="The largest loss of quality against the champion, in the unit of the metric."
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="The confidence, over all checks and all runs together, that a challenger as good as the "
        "champion is not withdrawn.",
    )


class CanaryPolicy(TrialPolicy):
    """A share of traffic that grows step by step."""

    kind: Literal["canary"] = Field(default="canary", description="A share of traffic that grows step by step.")
    shares: tuple[Share, ...] = Field(
        default=(0.05, 0.2, 0.5),
        min_length=1,
        description="The challenger's share of the keys in each step.",
    )
    bake_time: Duration = Field(
        default=timedelta(days=1), description="The shortest duration of a step, in event time."
    )

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.shares)):
            raise ValueError(
                f"shares {list(self.shares)} do not grow from step to step; give shares such as [0.05, 0.2, 0.5]"
            )
        return self


class AbPolicy(TrialPolicy):
    """A fixed split until a sequential test decides."""

    kind: Literal["ab"] = Field(default="ab", description="A fixed split.")
    share: Share = Field(default=0.5, description="The challenger's share of the keys.")
    bake_time: Duration = Field(
        default=timedelta(days=7), description="The shortest duration of the trial, in event time."
    )

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the only step."""
        return (self.share,)


class ShadowPolicy(TrialPolicy):
    """The challenger predicts all rows beside the champion, and nobody sees its predictions."""

    kind: Literal["shadow"] = Field(default="shadow", description="All rows, unseen.")
    bake_time: Duration = Field(
        default=timedelta(days=1), description="The shortest duration of the trial, in event time."
    )

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the keys that the challenger answers: none."""
        return (0.0,)
