"""Limits on fairness and calibration of a model in use."""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.policy import Policy

WhenBroken = Literal["watch", "escalate", "retrain"]


class LivePolicy(Policy):
    """The consequence of a limit on a model in use that is certainly exceeded."""

    when_broken: WhenBroken = Field(
        default="escalate",
        description="The consequence when the limit is exceeded for `windows` windows in a row: `watch`, `escalate` (a "
        "person is notified) or `retrain`. Until then the window is watched.",
    )
    windows: int = Field(
        default=2, ge=1, description="The number of windows in a row, which do not overlap, until then."
    )


class LiveFairnessPolicy(LivePolicy):
    """Limits on how differently a model in use treats the groups of a protected column."""

    max_demographic_parity_difference: FiniteFloat | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The largest difference between the groups' shares of positive answers. It needs no labels.",
    )
    max_equalized_odds_difference: FiniteFloat | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The largest difference between the groups' true positive rates or false positive rates, "
        "whichever is larger, on rows with mature labels.",
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.max_demographic_parity_difference is None and self.max_equalized_odds_difference is None:
            raise ValueError(
                "no limit is set; give max_demographic_parity_difference, max_equalized_odds_difference, or both"
            )
        return self


class LiveCalibrationPolicy(LivePolicy):
    """A limit on the error of the probabilities of a model in use."""

    max_error: FiniteFloat = Field(
        gt=0, lt=1, description="The largest expected calibration error on rows with mature labels."
    )
