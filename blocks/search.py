"""The search of hyperparameters: its effort and its space."""

from datetime import timedelta
from typing import Any, Self

from pydantic import Field, model_validator

from everfit.blocks.policy import Duration, Policy


class Space(Policy):
    """The values of one hyperparameter: a range, or a list of choices."""

    low: int | float | None = Field(
        default=None, description="The lowest value. The range is of whole numbers if both ends are whole."
    )
    high: int | float | None = Field(default=None, description="The highest value.")
    log: bool = Field(default=False, description="Whether the range is searched on a logarithmic scale.")
    choices: tuple[str | int | float | bool | None, ...] = Field(
        default=(), description="The values themselves, in place of a range."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("choices and a range exclude each other; remove low, high and log, or choices")
            return self
        if self.low is None or self.high is None:
            raise ValueError("the range is incomplete; give low and high, or choices")
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"the range from {self.low!r} to {self.high!r} is empty, or has no logarithm")
        return self


class SearchPolicy(Policy):
    """How hyperparameters are searched, by Optuna's tree-structured Parzen estimator.

    The search starts with the candidate's defaults and the best setting of the last turn.
    """

    trials: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="The number of settings that are tried per candidate. At 1 only the defaults and the best "
        "setting of the last turn are tried; with fewer than 10,000 training rows, also a few "
        "settings that suit small data.",
    )
    time: Duration = Field(
        default=timedelta(minutes=10), description="The time after which no further setting of a candidate starts."
    )
    at_once: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="The number of settings that are proposed before the search learns from any of them. The "
        "workers of a Dask scheduler try them in parallel; the result does not depend on where they "
        "run.",
    )
    spaces: dict[str, dict[str, Space]] = Field(
        default_factory=dict,
        description="The searched values by candidate and hyperparameter, in place of the candidate's own space.",
    )

    @property
    def on(self) -> bool:
        """Whether hyperparameters are searched."""
        return self.trials > 1


Parameters = dict[str, Any]
"""Hyperparameters by name, as the estimator takes them."""
