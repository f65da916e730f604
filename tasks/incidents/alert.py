"""The finding of a look that a person should know. Pure."""

from pydantic import AwareDatetime, Field

from everfit.blocks.notifying import Severity
from everfit.tasks.core.records import Record


class Alert(Record):
    """A problem: how bad it is, why, and what to do about it."""

    subject: str = Field(description="The subject: alerts of one subject are one incident.")
    severity: Severity
    what: str = Field(description="The problem, in a few words.")
    signature: str = Field(description="Names the problem; another one of the same subject is news.")
    how_bad: str = Field(default="", description="The figures that show how bad it is.")
    why: tuple[str, ...] = Field(default=(), description="The reasons, the most important first.")
    chart: tuple[float, ...] = Field(default=(), description="The value of the newest windows, oldest first.")
    chart_of: str = Field(default="", description="The name of the chart's value, such as `roc_auc`.")
    advice: str = Field(default="", description="The advice to a person.")
    command: str = Field(default="", description="The command that shows more, or does it.")
    page: str = Field(default="", description="Address of the page with the evidence.")
    picture: str = Field(default="", description="Address of the picture, or of the page that has it.")
    outcome: str = Field(default="", exclude_if=lambda words: not words, description="How it ended, if that is known.")
    since: AwareDatetime | None = Field(default=None, description="When it began, if that is known.")
