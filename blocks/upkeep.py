"""How long what a model leaves is kept."""

from datetime import timedelta

from pydantic import Field, field_validator

from everfit.blocks.policy import Duration, Policy, format_duration


class RetentionPolicy(Policy):
    """How long the rows of each of a model's tables are kept, counted from their day; for ever by default."""

    dataset: Duration | None = Field(
        default=None,
        description="How long rows to learn from are kept, by the day of their event; by default for ever.",
    )
    quarantine: Duration | None = Field(
        default=None,
        description="How long settled rows of the quarantine are kept, by default for ever; what lies open stays until "
        "somebody settles it.",
    )
    predictions: Duration | None = Field(
        default=None,
        description="How long answered predictions are kept, by the day of their event; by default for ever.",
    )
    labels: Duration | None = Field(
        default=None,
        description="How long labels are kept, by the day on which they became known; by default for ever.",
    )

    @field_validator("*")
    @classmethod
    def _spans_a_day(cls, span: timedelta | None) -> timedelta | None:
        if span is not None and span < timedelta(days=1):
            raise ValueError(
                f"{format_duration(span)!r} is less than a day, and whole days are removed; write 1d or more"
            )
        return span


class UpkeepPolicy(Policy):
    """What is removed, and when."""

    keep: RetentionPolicy = Field(default_factory=RetentionPolicy, description="How long rows are kept.")
    history: Duration = Field(
        default=timedelta(days=30),
        description="How long a table's past states, a turn's files and a challenger that was not released can be "
        "gone back to. What a champion, or a turn that is not over, was made from stays in any case.",
    )

    @field_validator("history")
    @classmethod
    def _outlives_a_turn(cls, span: timedelta) -> timedelta:
        if span < timedelta(days=1):
            raise ValueError(
                f"{format_duration(span)!r} is less than a day, and a turn that is running may yet read what is older; "
                f"write 1d or more"
            )
        return span

    def check(self, learnt_from: timedelta, watched: timedelta) -> None:
        """Refuse to remove what training or monitoring yet need.

        Args:
            learnt_from: How far back a turn reads the dataset.
            watched: How far back monitoring reads predictions and labels.

        Raises:
            ValueError: rows would be gone before they are read.
        """
        for name, needed, by in (
            ("dataset", learnt_from, "maturity and training.window, or training.holdout,"),
            ("predictions", watched, "maturity and monitoring.window"),
            ("labels", watched, "maturity and monitoring.window"),
        ):
            span: timedelta | None = getattr(self.keep, name)
            if span is not None and span <= needed:
                raise ValueError(
                    f"upkeep.keep.{name}: {format_duration(span)!r} is too short, as {by} make "
                    f"{format_duration(needed)!r}; keep rows longer than they are needed"
                )
