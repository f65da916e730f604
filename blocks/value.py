"""What right and wrong answers are worth to the user."""

from typing import Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.extensions import FunctionReference
from everfit.blocks.policy import Policy


class ValuePolicy(Policy):
    """What each outcome is worth, in a unit of the user's: gains above 0, costs below."""

    true_positive: FiniteFloat = Field(default=0.0, description="What it is worth to act where it was right.")
    false_positive: FiniteFloat = Field(default=0.0, description="What it is worth to act in vain.")
    true_negative: FiniteFloat = Field(default=0.0, description="What it is worth to do nothing, rightly.")
    false_negative: FiniteFloat = Field(
        default=0.0, description="What it is worth to do nothing where action was needed."
    )
    function: FunctionReference | None = Field(
        default=None,
        description="`package.module:function` in place of the four, installed where flows run; it is given the labels "
        "and the scores of rows as arrays, and returns the worth of each row.",
    )
    unit: str = Field(default="", description="The unit, such as EUR.")

    @model_validator(mode="after")
    def _worth_something(self) -> Self:
        worths = (self.true_positive, self.false_positive, self.true_negative, self.false_negative)
        if self.function is None and not any(worths):
            raise ValueError("no outcome is worth anything; give at least one, or a function")
        if self.function is not None and any(worths):
            raise ValueError(f"function {self.function!r} takes the place of the four outcomes; leave those out")
        return self
