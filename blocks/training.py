"""How candidates are trained, and on what."""

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.extensions import is_reference
from everfit.blocks.metrics import TaskKind, metric_facts
from everfit.blocks.policy import Duration, Policy, format_duration
from everfit.blocks.search import SearchPolicy
from everfit.blocks.value import ValuePolicy

CANDIDATES: dict[str, frozenset[TaskKind]] = {
    "hist_gradient_boosting": frozenset({"binary", "multiclass", "regression"}),
    "logistic_regression": frozenset({"binary", "multiclass"}),
    "ridge": frozenset({"regression"}),
    "random_forest": frozenset({"binary", "multiclass", "regression"}),
}
"""The candidates that everfit brings, and the tasks that each can do."""

DEFAULT_CANDIDATES = ("hist_gradient_boosting", "logistic_regression", "ridge")


class TrainingPolicy(Policy):
    """How candidates are trained, and on what."""

    metric: str | None = Field(
        default=None, description="The primary metric; by default ROC AUC, log loss or RMSE, as the task is."
    )
    window: Literal["all", "best"] | Duration = Field(
        default="all",
        description="`all` history, how far back from `until` training data goes, or `best` of `windows`.",
    )
    windows: tuple[Literal["all"] | Duration, ...] = Field(
        default=(), description="The spans that compete on the validation rows when `window` is `best`."
    )
    holdout: Duration = Field(
        default=timedelta(days=14),
        description="The last part of the window, in time order, that no candidate is fitted on.",
    )
    holdout_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="What is kept out instead when rows have no event time: a seeded sample, stratified by class.",
    )
    candidates: tuple[str, ...] = Field(
        default=(),
        description="What is tried; by default gradient boosting and a linear model. Besides everfit's own any "
        "`package.module:factory` that is installed where flows run: it is called with its `parameters`, "
        "and returns an estimator as scikit-learn's are, or a whole `Pipeline`. Name each class or function of "
        "another package in `EVERFIT_TRUSTED_TYPES`, separated by commas, wherever the model is trained and served.",
    )
    parameters: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Hyperparameters, by candidate, in place of its defaults."
    )
    time_limit: Duration = Field(
        default=timedelta(hours=1),
        description="How long a candidate may take to be tried or fitted before it is given up.",
    )
    folds: int | None = Field(
        default=None,
        ge=1,
        le=20,
        description="On how many parts of the training rows, each later than what is fitted on, candidates are chosen; "
        "by default 5 of fewer than 10,000 rows, and else 1. Rows without event times are cut by a seeded "
        "draw.",
    )
    search: SearchPolicy = Field(
        default_factory=SearchPolicy, description="How hyperparameters are searched; by default they are not."
    )
    class_weight: Literal["none", "balanced"] = Field(
        default="none", description="Whether rows count alike, or `balanced`: each class the same, however rare it is."
    )
    half_life: Duration | None = Field(
        default=None,
        description="After this span of event time a row has half the weight; by default all weigh the same.",
    )
    calibration: Literal["none", "sigmoid", "isotonic"] = Field(
        default="none",
        description="How probabilities are calibrated, if they are: on the last fifth of the rows, which are not fitted"
        " on then.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="What everything random is drawn by.")
    refit: bool = Field(
        default=True,
        description="Whether the winner is fitted again on the whole window, hold-out included, once the gate has "
        "passed.",
    )
    allow_leaks: tuple[str, ...] = Field(
        default=(), description="Features that may tell the label as well as they like: they are known to be no leak."
    )
    business_value: ValuePolicy | None = Field(
        default=None, description="What right and wrong answers are worth; by default not reckoned."
    )
    evidence: Literal["quick", "full"] = Field(
        default="full",
        description="`full` adds SHAP values, robustness and plots to the evidence that each version carries.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.window == "best") != (len(self.windows) > 1):
            raise ValueError(
                f"windows: {len(self.windows)} given with window {self.window!r}; `best` needs two or more spans, "
                f"and nothing else takes any"
            )
        if len(set(self.windows)) < len(self.windows):
            raise ValueError("windows: one is given twice; give each once")
        for span in (self.window, *self.windows):
            if isinstance(span, timedelta) and self.holdout >= span:
                raise ValueError(
                    f"holdout: {format_duration(self.holdout)!r} leaves nothing to train on in a window of "
                    f"{format_duration(span)!r}; make it shorter than the window"
                )
        if self.holdout <= timedelta(0):
            raise ValueError("holdout: must be longer than nothing, or there is nothing to compare on")
        if self.time_limit <= timedelta(0) or (self.half_life is not None and self.half_life <= timedelta(0)):
            raise ValueError("time_limit and half_life: must be longer than nothing")
        return self

    def check(self, task: TaskKind) -> None:
        """Refuse candidates, metrics and settings that the task has no use for.

        Raises:
            ValueError: a candidate or the metric is unknown or is for another task, or classes are weighted,
                calibrated or valued where there are none.
        """
        for position, candidate in enumerate(self.candidates):
            if not is_reference(candidate) and task not in CANDIDATES.get(candidate, ()):
                raise ValueError(
                    f"training.candidates.{position}: {candidate!r} can't be used for a {task} model; "
                    f"use {', '.join(sorted(name for name, tasks in CANDIDATES.items() if task in tasks))}, "
                    f"or package.module:factory"
                )
        tried = self.candidates_for(task)
        for path, named in (("parameters", self.parameters), ("search.spaces", self.search.spaces)):
            if unknown := [name for name in named if name not in tried]:
                raise ValueError(f"training.{path}.{unknown[0]}: is not tried; the candidates are {', '.join(tried)}")
        if self.metric is not None:
            try:
                metric_facts(self.metric, task)
            except ValueError as error:
                raise ValueError(f"training.metric: {error}") from error
        if task == "regression" and (self.class_weight != "none" or self.calibration != "none"):
            raise ValueError("training.class_weight and training.calibration: a regression has no classes")
        if self.business_value is not None and self.business_value.function is None and task != "binary":
            raise ValueError(
                f"training.business_value: a {task} model has other outcomes than those four; give a function"
            )

    def candidates_for(self, task: TaskKind) -> tuple[str, ...]:
        """The candidates to try: those listed, or gradient boosting and a linear model."""
        return self.candidates or tuple(name for name in DEFAULT_CANDIDATES if task in CANDIDATES[name])

    @property
    def spans(self) -> tuple[timedelta | None, ...]:
        """How far back each window that competes goes from its end; None for all history."""
        windows = self.windows if self.window == "best" else (self.window,)
        return tuple(span if isinstance(span, timedelta) else None for span in windows)

    @property
    def widest(self) -> timedelta | None:
        """The longest of the spans; None for all history."""
        lengths = [span for span in self.spans if span is not None]
        return max(lengths) if len(lengths) == len(self.spans) else None
