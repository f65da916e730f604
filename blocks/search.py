"""How hyperparameters are searched, and in which space."""

from datetime import timedelta
from typing import Any, Self

from pydantic import Field, model_validator

from everfit.blocks.policy import Duration, Policy


class Space(Policy):
    """The values that one hyperparameter may take: a range, or a list of choices."""

    low: int | float | None = Field(
        default=None, description="The least value; of a range of whole numbers when both ends are whole."
    )
    high: int | float | None = Field(default=None, description="The greatest value.")
    log: bool = Field(default=False, description="Whether the range is searched on a logarithmic scale.")
    choices: tuple[str | int | float | bool | None, ...] = Field(
        default=(), description="The values themselves, in place of a range."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("choices and a range exclude each other; leave out low, high and log, or choices")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high of a range, or choices")
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"the range from {self.low!r} to {self.high!r} is empty, or has no logarithm")
        return self


class SearchPolicy(Policy):
    """How hyperparameters are searched, by Optuna's tree-structured Parzen estimator.

    The candidates' own defaults are tried first, then what did best in the last turn, then what the search proposes.
    """

    trials: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="How many settings of each candidate are tried; 1 is the defaults alone, and the last turn's "
        "best. Of fewer than 10,000 training rows a few settings that suit them are tried beside the "
        "defaults.",
    )
    time: Duration = Field(
        default=timedelta(minutes=10), description="After this span no further setting of a candidate is tried."
    )
    at_once: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="How many settings are proposed before any of them is learned from. As many may be tried side by "
        "side on the workers of a Dask scheduler; what is found is the same wherever they are tried.",
    )
    spaces: dict[str, dict[str, Space]] = Field(
        default_factory=dict,
        description="What is searched, by candidate and hyperparameter, in place of the candidate's own space.",
    )

    @property
    def on(self) -> bool:
        """Whether anything is searched."""
        return self.trials > 1


Parameters = dict[str, Any]
"""Hyperparameters by name, as the estimator takes them."""
