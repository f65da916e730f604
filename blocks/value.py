"""The business value of right and wrong predictions."""

from typing import Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.extensions import FunctionReference
from everfit.blocks.policy import Policy


class ValuePolicy(Policy):
    """The value of each outcome of a prediction, in a unit of your own: gains above 0, costs below."""

    true_positive: FiniteFloat = Field(default=0.0, description="The value of an action that was right.")
    false_positive: FiniteFloat = Field(default=0.0, description="The value of an action that was wrong.")
    true_negative: FiniteFloat = Field(default=0.0, description="The value of no action where none was needed.")
    false_negative: FiniteFloat = Field(default=0.0, description="The value of no action where one was needed.")
    function: FunctionReference | None = Field(
        default=None,
        description="A function as `package.module:function` in place of the four values, installed where flows "
        "run. It takes the labels and scores of the rows as arrays and returns the value of each row.",
    )
    unit: str = Field(default="", description="The unit, such as EUR.")

    @model_validator(mode="after")
    def _worth_something(self) -> Self:
        worths = (self.true_positive, self.false_positive, self.true_negative, self.false_negative)
        if self.function is None and not any(worths):
            raise ValueError("every outcome has the value 0; give at least one value, or a function")
        if self.function is not None and any(worths):
            raise ValueError(f"function {self.function!r} replaces the four outcomes; remove their values")
        return self
