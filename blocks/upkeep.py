"""Upkeep: how long the rows, files and versions of a model are kept."""

from datetime import timedelta

from pydantic import Field, field_validator

from everfit.blocks.policy import Duration, Policy, format_duration


class RetentionPolicy(Policy):
    """How long the rows of each table are kept, counted from their day. By default they are kept for ever."""

    dataset: Duration | None = Field(
        default=None,
        description="How long training rows are kept, by the day of their event. By default they are kept for ever.",
    )
    quarantine: Duration | None = Field(
        default=None,
        description="How long settled rows of the quarantine are kept. By default they are kept for ever; open "
        "rows stay until a person settles them.",
    )
    predictions: Duration | None = Field(
        default=None,
        description="How long predictions are kept, by the day of their event. By default they are kept for ever.",
    )
    labels: Duration | None = Field(
        default=None,
        description="How long labels are kept, by the day on which they became known. By default they are kept "
        "for ever.",
    )

    @field_validator("*")
    @classmethod
    def _spans_a_day(cls, span: timedelta | None) -> timedelta | None:
        if span is not None and span < timedelta(days=1):
            raise ValueError(
                f"{format_duration(span)!r} is less than a day, but whole days are deleted; give 1d or more"
            )
        return span


class UpkeepPolicy(Policy):
    """How long rows, files and versions are kept before they are deleted."""

    keep: RetentionPolicy = Field(default_factory=RetentionPolicy, description="How long rows are kept.")
    history: Duration = Field(
        default=timedelta(days=30),
        description="How long old table versions, the files of a turn and challengers that were not released are "
        "kept. The training data of a champion, and of a turn that is still running, is always kept.",
    )

    looks: Duration = Field(
        default=timedelta(days=30),
        description="How long the MLflow runs of all looks at windows are kept. Older looks that found something stay, "
        "and so does the first of the others of a day, without its report. The ledger keeps all decisions.",
    )

    @field_validator("history", "looks")
    @classmethod
    def _outlives_a_turn(cls, span: timedelta) -> timedelta:
        if span < timedelta(days=1):
            raise ValueError(
                f"{format_duration(span)!r} is less than a day, but a running turn may still read older files; "
                f"give 1d or more"
            )
        return span

    def check(self, learnt_from: timedelta, watched: timedelta) -> None:
        """Reject a retention that deletes rows before training or monitoring has read them.

        Args:
            learnt_from: The span of the dataset that a turn reads.
            watched: The span of predictions and labels that monitoring reads.

        Raises:
            ValueError: Rows would be deleted before they are read.
        """
        for name, needed, by in (
            ("dataset", learnt_from, "maturity and training.window, or training.holdout,"),
            ("predictions", watched, "maturity and monitoring.window"),
            ("labels", watched, "maturity and monitoring.window"),
        ):
            span: timedelta | None = getattr(self.keep, name)
            if span is not None and span <= needed:
                raise ValueError(
                    f"upkeep.keep.{name}: {format_duration(span)!r} is too short, since {by} need "
                    f"{format_duration(needed)!r}; keep rows longer"
                )
