"""Signals of the user: functions of their own that monitoring runs on every window."""

from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.extensions import ExtensionName
from everfit.blocks.policy import Policy


class SignalPolicy(Policy):
    """A signal that a function of the user measures in every monitoring window."""

    function: ExtensionName = Field(
        description="`package.module:function`, or the name of an entry point in the group `everfit.signals`. The "
        "function takes a `WindowEvidence` and returns a number, true or false, or a `SignalResult`.",
    )
    name: str = Field(
        default="", description="The name under which the signal is shown; by default the function's name."
    )
    at_least: FiniteFloat | None = Field(default=None, description="The lowest value that is ok.")
    at_most: FiniteFloat | None = Field(default=None, description="The highest value that is ok.")
    action: Literal["watch", "escalate", "retrain"] = Field(
        default="watch",
        description="The action while the signal is not ok: it is watched, a person is notified, or the model is "
        "retrained.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_reference(cls, given: Any) -> Any:
        """Accept the bare reference in place of the whole policy."""
        return {"function": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"signal {self.title!r} cannot be at least {self.at_least!r} and at most {self.at_most!r}; "
                "no value is within these bounds"
            )
        return self

    @property
    def title(self) -> str:
        """The name under which the signal is shown."""
        return self.name or self.function.rpartition(":")[2]

    def is_ok(self, value: float) -> bool:
        """Return whether a value is within the bounds; without bounds every value is."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def bounds(self) -> str:
        """Return the bounds in words, such as `at most 0.2`; empty without any."""
        least = [] if self.at_least is None else [f"at least {self.at_least:g}"]
        most = [] if self.at_most is None else [f"at most {self.at_most:g}"]
        return " and ".join([*least, *most])
