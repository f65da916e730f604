"""The training of candidates."""

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from everfit.blocks.extensions import is_reference
from everfit.blocks.metrics import TaskKind, is_own_metric, metric_facts
from everfit.blocks.policy import Duration, Policy, format_duration
from everfit.blocks.search import SearchPolicy
from everfit.blocks.value import ValuePolicy

CANDIDATES: dict[str, frozenset[TaskKind]] = {
    "hist_gradient_boosting": frozenset({"binary", "multiclass", "regression"}),
    "logistic_regression": frozenset({"binary", "multiclass"}),
    "ridge": frozenset({"regression"}),
    "random_forest": frozenset({"binary", "multiclass", "regression"}),
    "ensemble": frozenset({"binary", "multiclass", "regression"}),
}
"""The candidates that everfit comes with, and the tasks of each."""

DASK_TRAINERS: dict[str, tuple[str, frozenset[TaskKind]]] = {
    "lightgbm:DaskLGBMClassifier": ("lightgbm:LGBMClassifier", frozenset({"binary", "multiclass"})),
    "lightgbm:DaskLGBMRegressor": ("lightgbm:LGBMRegressor", frozenset({"regression"})),
    "xgboost.dask:DaskXGBClassifier": ("xgboost:XGBClassifier", frozenset({"binary", "multiclass"})),
    "xgboost.dask:DaskXGBRegressor": ("xgboost:XGBRegressor", frozenset({"regression"})),
}
"""Candidates that are fitted on the workers of a Dask scheduler: the estimator that each gives, and its tasks."""

BOOSTING = "hist_gradient_boosting"
ENSEMBLE = "ensemble"
"""The candidate that averages the predictions of the others."""

DEFAULT_CANDIDATES = ("hist_gradient_boosting", "logistic_regression", "ridge", "ensemble")


class TrainingPolicy(Policy):
    """How candidates are trained, and on which rows."""

    metric: str | None = Field(
        default=None,
        description="The primary metric. By default it is ROC AUC, log loss or RMSE, depending on the task. It may be "
        "a function of your own: `package.module:function`, or the name of an entry point in the group "
        "`everfit.metrics`, installed where flows run. It is called with labels and scores as arrays and returns a "
        "number. Greater is better, unless `everfit.tasks.own_metric` declares it otherwise.",
    )
    window: Literal["auto", "all", "best"] | Duration = Field(
        default="auto",
        description="The span of training data before `until`: a duration, `all` history, the `best` of `windows`, or "
        "`auto`. By `auto`, all history, its newest quarter and shorter spans compete on the newest rows in each turn.",
    )
    windows: tuple[Literal["all"] | Duration, ...] = Field(
        default=(), description="The spans that compete on the validation rows when `window` is `best`."
    )
    holdout: Duration = Field(
        default=timedelta(days=14),
        description="The last part of the window, in time order, that the first champion is judged on. Later "
        "challengers are judged on the newer two thirds of the rows that the champion has not seen.",
    )
    holdout_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="The share of rows in the hold-out when rows have no event time. It is a seeded random "
        "sample, stratified by class.",
    )
    sample: int | None = Field(
        default=None,
        ge=100,
        exclude_if=lambda rows: rows is None,
        description="The most rows before the hold-out that one process holds to train on; by default all. Where there "
        "are more, it takes a sample in which each month and each class keeps its share, the same for the same rows, "
        "and measures what half of the sample would cost in quality. The hold-out is read whole. Candidates that Dask "
        "workers fit learn from all rows. It needs `columns.event_time`.",
    )
    candidates: tuple[str, ...] = Field(
        default=(),
        description="The models that compete. By default they are gradient boosting, a linear model, and `ensemble`: "
        "the mean of the predictions of everfit's other candidates in this list, or of the first two. Boosting counts "
        "twice where there are categories: once with their values in groups, once in order. "
        "`package.module:factory` adds one of your own, installed where flows run: it is called with "
        "its `parameters` and returns a scikit-learn estimator or a whole `Pipeline`. List each class"
        " or function of another package in `EVERFIT_TRUSTED_TYPES`, separated by commas, wherever "
        "the model is trained and served. "
        "`lightgbm:DaskLGBMClassifier`, `lightgbm:DaskLGBMRegressor`, `xgboost.dask:DaskXGBClassifier` and "
        "`xgboost.dask:DaskXGBRegressor` are fitted on all rows by the workers of a Dask scheduler (extra "
        "`dask-boosters`), and are LightGBM's and XGBoost's ordinary estimators afterwards.",
    )
    parameters: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Hyperparameters by candidate, in place of the defaults."
    )
    time_limit: Duration = Field(
        default=timedelta(hours=1),
        description="The longest time to try or fit one candidate.",
    )
    folds: int | None = Field(
        default=None,
        ge=1,
        le=20,
        description="The number of validation folds for the choice of a candidate, each later than the rows that "
        "are fitted on. By default it is 5 below 10,000 rows, and 1 from there on. Rows without event"
        " times are split by a seeded draw.",
    )
    search: SearchPolicy = Field(
        default_factory=SearchPolicy, description="How hyperparameters are searched. By default they are not searched."
    )
    class_weight: Literal["none", "balanced"] = Field(
        default="none",
        description="The weight of the rows: `none` weighs all rows alike, `balanced` gives each class the same "
        "total weight.",
    )
    half_life: Duration | None = Field(
        default=None,
        description="The span of event time after which a row has half the weight. By default all rows weigh the same.",
    )
    fresh_labels: Literal["ignore", "weighted"] = Field(
        default="ignore",
        exclude_if=lambda choice: choice == "ignore",
        description="Whether the final fit also learns from rows that are younger than `maturity` and have a label "
        "already: `ignore`, or `weighted` by the inverse of the share of labels of their class, or their fifth by "
        "size, that are known at their age. Rows count from the age on at which 30 % of such labels are known. It "
        "needs `columns.label_time`. The gate judges the model without these rows.",
    )
    calibration: Literal["none", "sigmoid", "isotonic"] = Field(
        default="none",
        description="The method of probability calibration. It uses the last fifth of the training rows, which "
        "the model is not fitted on then.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="The seed of everything random.")
    refit: bool = Field(
        default=True,
        description="Whether the winner is fitted again on the whole window, including the hold-out, once the "
        "gate has passed.",
    )
    allow_leaks: tuple[str, ...] = Field(
        default=(),
        description="Features that may predict the label suspiciously well, because they are known to be no leak.",
    )
    business_value: ValuePolicy | None = Field(
        default=None, description="The value of right and wrong predictions. By default business value is not computed."
    )
    evidence: Literal["quick", "full"] = Field(
        default="full",
        description="The amount of evidence per version: `full` adds SHAP values, robustness and plots.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.window == "best") != (len(self.windows) > 1):
            raise ValueError(
                f"windows: {len(self.windows)} spans with window {self.window!r}; give two or more spans with `best`, "
                f"and none otherwise"
            )
        if len(set(self.windows)) < len(self.windows):
            raise ValueError("windows: a span occurs twice; give each span once")
        for span in (self.window, *self.windows):
            if isinstance(span, timedelta) and self.holdout >= span:
                raise ValueError(
                    f"holdout: {format_duration(self.holdout)!r} leaves no training rows in a window of "
                    f"{format_duration(span)!r}; make it shorter than the window"
                )
        if self.holdout <= timedelta(0):
            raise ValueError("holdout: it is empty or negative; give a duration such as 14d")
        if self.time_limit <= timedelta(0) or (self.half_life is not None and self.half_life <= timedelta(0)):
            raise ValueError("time_limit and half_life: they must be above 0s")
        return self

    def check(self, task: TaskKind) -> None:
        """Reject candidates, metrics and settings of another task.

        Raises:
            ValueError: A candidate or the metric is unknown or belongs to another task, or a setting needs classes
                that the task doesn't have.
        """
        self._check_candidates(task)
        tried = self.candidates_for(task)
        for path, named in (("parameters", self.parameters), ("search.spaces", self.search.spaces)):
            if unknown := [name for name in named if name not in tried]:
                raise ValueError(
                    f"training.{path}.{unknown[0]}: it is not a candidate of this spec; the candidates are "
                    f"{', '.join(tried)}"
                )
        if self.parameters.get(ENSEMBLE) or self.search.spaces.get(ENSEMBLE):
            raise ValueError(
                f"training.parameters.{ENSEMBLE}: an ensemble has no parameters of its own; give those of its members, "
                f"{', '.join(self.members_for(task))}"
            )
        if self.metric is not None and not is_own_metric(self.metric):
            try:
                metric_facts(self.metric, task)
            except ValueError as error:
                raise ValueError(f"training.metric: {error}") from error
        if task == "regression" and (self.class_weight != "none" or self.calibration != "none"):
            raise ValueError("training.class_weight and training.calibration: a regression has no classes; remove them")
        if self.business_value is not None and self.business_value.function is None and task != "binary":
            raise ValueError(
                f"training.business_value: a {task} model has other outcomes than those four; give a function"
            )

    def _check_candidates(self, task: TaskKind) -> None:
        for position, candidate in enumerate(self.candidates):
            if candidate in self.candidates[:position]:
                raise ValueError(f"training.candidates.{position}: {candidate!r} is there twice; list it once")
            if task not in DASK_TRAINERS.get(candidate, ("", {task}))[1]:
                suited = [name for name, (_, tasks) in DASK_TRAINERS.items() if task in tasks]
                raise ValueError(
                    f"training.candidates.{position}: {candidate!r} can't be used for a {task} model; use "
                    f"{' or '.join(suited)}"
                )
            if not is_reference(candidate) and task not in CANDIDATES.get(candidate, ()):
                raise ValueError(
                    f"training.candidates.{position}: {candidate!r} can't be used for a {task} model; "
                    f"use {', '.join(sorted(name for name, tasks in CANDIDATES.items() if task in tasks))}, "
                    f"or package.module:factory"
                )

    def candidates_for(self, task: TaskKind) -> tuple[str, ...]:
        """Return the listed candidates, or by default gradient boosting, a linear model and their ensemble."""
        return self.candidates or tuple(name for name in DEFAULT_CANDIDATES if task in CANDIDATES[name])

    def members_for(self, task: TaskKind) -> tuple[str, ...]:
        """Return the candidates whose predictions an ensemble averages: those listed, if there are two or more."""
        listed, usual = (
            tuple(name for name in names if name != ENSEMBLE and task in CANDIDATES.get(name, ()))
            for names in (self.candidates, DEFAULT_CANDIDATES)
        )
        return listed if len(listed) > 1 else usual

    @property
    def spans(self) -> tuple[timedelta | None, ...]:
        """The length of each competing window; None for all history."""
        windows = self.windows if self.window == "best" else (self.window,)
        return tuple(span if isinstance(span, timedelta) else None for span in windows)

    @property
    def widest(self) -> timedelta | None:
        """The longest of the windows; None for all history."""
        lengths = [span for span in self.spans if span is not None]
        return max(lengths) if len(lengths) == len(self.spans) else None
