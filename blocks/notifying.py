"""The receivers of messages by severity, and how often a message is repeated."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from everfit.blocks.policy import Policy, parse_duration

Severity = Literal["warning", "critical"]
"""How much a message matters: something to look at today, or something that needs a person now."""

_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Receivers = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""Notification blocks of the Prefect server, each as `type/name`; a single one may be written without a list."""


class NotifyPolicy(Policy):
    """The notification blocks that a model's messages go to, by severity.

    By default all go to the block of `everfit bootstrap --notify`.
    """

    critical: Receivers | None = Field(
        default=None,
        description="Blocks for what needs a person now: triage escalated, or the champion was rolled back.",
    )
    warning: Receivers | None = Field(
        default=None,
        description="Blocks for what needs a look today: broken data, an exceeded limit of fairness or calibration, "
        "a flow that fails.",
    )
    # A text, because Prefect stores the default of a whole section as its form has it, and there a span is in ISO 8601.
    again: str = Field(default="1d", description="The duration after which a lasting incident is repeated.")

    @field_validator("critical", "warning")
    @classmethod
    def _are_blocks(cls, receivers: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for receiver in receivers or ():
            if not _BLOCK.fullmatch(receiver):
                raise ValueError(
                    f"{receiver!r} names no notification block; give it as TYPE/NAME, such as slack-webhook/on-call"
                )
        return receivers

    @field_validator("again")
    @classmethod
    def _takes_time(cls, again: str) -> str:
        if parse_duration(again) <= timedelta(0):
            raise ValueError(f"{again!r} is empty; give a duration such as 1d")
        return again

    @property
    def repeated_after(self) -> timedelta:
        """The time after which a lasting incident is repeated."""
        return parse_duration(self.again)

    def receivers(self, severity: Severity) -> tuple[str, ...] | None:
        """Return the blocks for a severity; None if the spec names none."""
        return self.critical if severity == "critical" else self.warning


def is_default_notify(notify: NotifyPolicy) -> bool:
    """Return whether nothing is set, so that specs of earlier versions keep their digests."""
    return notify == NotifyPolicy()
