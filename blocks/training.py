"""How candidates are trained, and on what."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.metrics import TaskKind, metric_facts
from everfit.blocks.policy import Duration, Policy, format_duration

CANDIDATES: dict[str, frozenset[TaskKind]] = {
    "hist_gradient_boosting": frozenset({"binary", "multiclass", "regression"}),
    "logistic_regression": frozenset({"binary", "multiclass"}),
    "ridge": frozenset({"regression"}),
}
"""The candidates that everfit brings, and the tasks that each can do."""


class TrainingPolicy(Policy):
    """How candidates are trained, and on what.

    Attributes:
        metric: The primary metric; by default ROC AUC, log loss or RMSE, as the task is.
        window: `all` history, or how far back from `until` training data goes.
        holdout: The last part of the window, in time order, that no candidate is fitted on.
        candidates: What is tried; by default what suits the task.
        seed: Of everything random.
        refit: Whether the winner is fitted again on the whole window, hold-out included, once the gate has passed.
    """

    metric: str | None = Field(default=None, description="The primary metric; by default what suits the task.")
    window: Literal["all"] | Duration = Field(default="all", description="`all`, or how far back training data goes.")
    holdout: Duration = Field(default=timedelta(days=14), description="The last part of the window, kept out.")
    candidates: tuple[str, ...] = Field(default=(), description="What is tried; by default what suits the task.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of everything random.")
    refit: bool = Field(default=True, description="Fit the winner again on the whole window before its release.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if isinstance(self.window, timedelta) and self.holdout >= self.window:
            raise ValueError(
                f"holdout: {format_duration(self.holdout)!r} leaves nothing to train on in a window of "
                f"{format_duration(self.window)!r}; make it shorter than the window"
            )
        if self.holdout <= timedelta(0):
            raise ValueError("holdout: must be longer than nothing, or there is nothing to compare on")
        return self

    def check(self, task: TaskKind) -> None:
        """Refuse candidates and metrics that the task has no use for.

        Raises:
            ValueError: a candidate or the metric is unknown or is for another task.
        """
        for position, candidate in enumerate(self.candidates):
            if task not in CANDIDATES.get(candidate, ()):
                raise ValueError(
                    f"training.candidates.{position}: {candidate!r} can't be used for a {task} model; "
                    f"use {', '.join(sorted(name for name, tasks in CANDIDATES.items() if task in tasks))}"
                )
        if self.metric is not None:
            try:
                metric_facts(self.metric, task)
            except ValueError as error:
                raise ValueError(f"training.metric: {error}") from error

    def candidates_for(self, task: TaskKind) -> tuple[str, ...]:
        """The candidates to try: those listed, or all that everfit has for the task."""
        return self.candidates or tuple(name for name, tasks in CANDIDATES.items() if task in tasks)
