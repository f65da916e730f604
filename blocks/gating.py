"""The gate: the checks that a challenger must pass before it is released."""

import math
from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.extensions import ExtensionName
from everfit.blocks.gate_limits import (
    BusinessValuePolicy,
    CalibrationPolicy,
    FairnessPolicy,
    ForgettingPolicy,
    NegativeFlipsPolicy,
    ReplayPolicy,
    RobustnessPolicy,
    ServingCheckPolicy,
    SlicePolicy,
)
from everfit.blocks.metrics import TaskKind, is_own_metric, metric_facts
from everfit.blocks.policy import Duration, Policy

Level = Literal["low", "medium", "high"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high")


class RiskPolicy(Policy):
    """The two axes of a risk matrix: how likely a bad release is, and how bad."""

    probability: Level = Field(
        default="low",
        description="The probability that a release that passed the gate still does harm. A first champion counts"
        " one step higher, since it was compared with nothing.",
    )
    impact: Level = Field(default="medium", description="The impact of such harm.")
    approve_from: Level = Field(
        default="high",
        description="The level of risk, of probability and impact together, from which a person must approve.",
    )

    def level(self, *, raised: int = 0) -> Level:
        """Return the level of a risk: its place in the 3 by 3 matrix of probability and impact.

        Args:
            raised: The number of steps that are added to the probability.
        """
        probability = min(LEVELS.index(self.probability) + raised, 2)
        product = (probability + 1) * (LEVELS.index(self.impact) + 1)
        return "low" if product <= 2 else "medium" if product <= 4 else "high"


class GatePolicy(Policy):
    """The checks that a challenger must pass before it replaces the champion.

    By default the challenger must be better than the champion with 95 % confidence. A release costs attention and
    trust even when it does no harm, an equal model is no reason for one, and a chain of "not much worse" models drifts
    downwards. Where releases are cheap and newer data is wanted for its own sake, `non_inferiority` with a margin
    releases a challenger that is not worse by more than the margin.
    """

    minimum: dict[str, FiniteFloat] = Field(
        default_factory=dict,
        description="The worst allowed value of each metric: the lowest for scores, the highest for losses.",
    )
    comparison: Literal["superiority", "non_inferiority"] = Field(
        default="superiority",
        description="Whether the challenger must be better (`superiority`) or not much worse (`non_inferiority`) "
        "than the champion.",
    )
    confidence: FiniteFloat = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="The one-sided confidence with which the gain must exceed its limit. Where earlier releases have "
        "paid on live rows, each try may err up to three times as often; where they have not, less.",
    )
    min_gain: FiniteFloat = Field(
        default=0.0, ge=0, description="The value that the lower bound of the gain must exceed under `superiority`."
    )
    margin: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="The largest allowed loss under `non_inferiority`, at that confidence, in the unit of the metric.",
    )
    draws: int = Field(default=2000, ge=100, le=100_000, description="The number of bootstrap draws of the comparison.")
    resample: Literal["auto", "rows", "days"] = Field(
        default="auto",
        description="Which rows count as independent. `auto` treats rows as dependent if they are of one day (of one "
        "hour, in short data) or share a value of the key or of `columns.entity`, and neighbouring days if the data "
        "shows it; where rows of a day share their luck, it also compares the models among rows of the same day. "
        "`rows` treats all rows as independent. `days` draws whole days in a bootstrap.",
    )
    min_rows: int = Field(default=200, ge=2, description="The smallest number of hold-out rows for a valid comparison.")
    min_class_rows: int = Field(
        default=20, ge=1, description="The smallest number of hold-out rows of the rarest class."
    )
    small_holdout: Literal["keep", "extend", "ask"] = Field(
        default="keep",
        description="The action on a hold-out with fewer rows, or too few for a comparison: `keep` the champion, "
        "`extend` the hold-out further back once, or `ask` a person.",
    )
    wait_for_evidence: bool = Field(
        default=False,
        exclude_if=lambda waits: not waits,
        description="Whether a challenger that is ahead, but not certainly, waits for more evidence. As labels come, "
        "it is judged again and may be released without another training. For this it is fitted on all rows, as for a "
        "release. Only rows with event times allow it.",
    )
    dummy: bool = Field(
        default=True, description="Whether the challenger must beat a dummy model that ignores the features."
    )
    expectations: bool = Field(default=True, description="Whether the data must have passed its expectations.")
    leaks: bool = Field(
        default=True,
        description="Whether a feature that probably leaks the label blocks the release. Two cases then wait for a "
        "person's approval: a nearly perfect challenger where the champion was not (or there is none), and a first "
        "champion with features that are named like the target.",
    )
    slices: SlicePolicy | None = Field(
        default=None, description="A limit on the loss of each slice. By default slices are not checked."
    )
    fairness: FairnessPolicy | None = Field(
        default=None, description="Limits between protected groups. By default fairness is not checked."
    )
    calibration: CalibrationPolicy | None = Field(
        default=None, description="Limits on the error of the probabilities. By default calibration is not checked."
    )
    robustness: RobustnessPolicy | None = Field(
        default=None,
        description="A limit on predictions that flip under small changes of the input. By default robustness is "
        "not checked.",
    )
    negative_flips: NegativeFlipsPolicy | None = Field(
        default=None,
        exclude_if=lambda limits: limits is None,
        description="A limit on rows that the champion answers right and the challenger wrong. By default they are not "
        "counted.",
    )
    forgetting: ForgettingPolicy | None = Field(
        default=None,
        exclude_if=lambda limits: limits is None,
        description="A limit on the quality that is lost on rows of the past. By default no row is kept for this.",
    )
    replay: ReplayPolicy | None = Field(
        default=None,
        exclude_if=lambda limits: limits is None,
        description="Limits on how the challenger's answers to the requests of the last days may differ from the "
        "champion's. By default nothing is replayed.",
    )
    business_value: BusinessValuePolicy | None = Field(
        default=None, description="The business value that the release must add. By default it is not checked."
    )
    serving: ServingCheckPolicy | None = Field(
        default=None,
        description="A test of the challenger in the prediction service's own code. By default serving is not checked.",
    )
    conversion: bool = Field(
        default=False,
        description="Whether the challenger must be released in `release.format`. By default a model that can't "
        "be converted is released as it is.",
    )
    checks: tuple[ExtensionName, ...] = Field(
        default=(),
        exclude_if=lambda checks: not checks,
        description="Checks of your own: `package.module:function`, or the name of an entry point in the group "
        "`everfit.gate_checks`, installed where flows run. Each is called with the evidence and returns True or False, "
        "a margin (0 or more passes), or `(passed, reason)`. One that raises has failed.",
    )
    approval: Literal["never", "always", "on_risk"] = Field(
        default="never",
        description="Whether a person must approve a challenger that passed: `never`, `always`, or `on_risk`, "
        "from the level of `risk.approve_from`.",
    )
    risk: RiskPolicy = Field(
        default_factory=RiskPolicy, description="The risk of a bad release, for `approval: on_risk`."
    )
    approvals: int = Field(
        default=1,
        ge=1,
        le=5,
        exclude_if=lambda number: number == 1,
        description="How many people must approve. From 2 on, the person who started the turn is not one of them. One "
        "person who declines is enough to decline.",
    )
    approval_expires: Duration = Field(
        default=timedelta(days=7),
        description="How long a challenger waits for approval before it expires; the champion stays then.",
    )

    @model_validator(mode="after")
    def _can_be_satisfied(self) -> Self:
        for name, value in self.minimum.items():
            if is_own_metric(name):
                continue  # its range is known where it is installed
            facts = metric_facts(name)
            if not facts.lowest <= value <= facts.highest:
                raise ValueError(
                    f"minimum.{name}: {value!r} is impossible; give a number from {facts.lowest:g} to {facts.highest:g}"
                )
        if len(set(self.checks)) < len(self.checks):
            raise ValueError(f"checks: one of {', '.join(self.checks)} is given twice; give each once")
        if self.comparison == "non_inferiority" and self.margin is None:
            raise ValueError("margin: it is missing under non_inferiority; give a number above 0, in the metric's unit")
        if self.comparison == "superiority" and self.margin is not None:
            raise ValueError(
                f"margin: {self.margin!r} has no effect under superiority; remove it, or set "
                "comparison: non_inferiority"
            )
        if self.comparison == "non_inferiority" and self.min_gain > 0:
            raise ValueError(
                f"min_gain: {self.min_gain!r} has no effect under non_inferiority; remove it, or set "
                "comparison: superiority"
            )
        if self.approval_expires <= timedelta(0):
            raise ValueError("approval_expires: a duration of 0 expires at once; give a duration such as 7d")
        return self

    def check(self, task: TaskKind, metric: str) -> None:
        """Reject a gate that no model of the task can pass.

        Args:
            task: The task of the spec.
            metric: The primary metric, which compares champion and challenger.

        Raises:
            ValueError: A minimum of a metric of another task, a gain or loss wider than the range of the primary
                metric, or a check that is not measured for the task.
        """
        for name in self.minimum:
            if is_own_metric(name):
                continue
            try:
                metric_facts(name, task)
            except ValueError as error:
                raise ValueError(f"gate.minimum.{name}: {error}") from None
        span = math.inf if is_own_metric(metric) else metric_facts(metric, task).span
        losses = {"margin": self.margin, "slices.max_loss": self.slices.max_loss if self.slices else None}
        for path, value in {"min_gain": self.min_gain, **losses}.items():
            if value is not None and value >= span:
                raise ValueError(f"gate.{path}: {value!r} is as wide as the range of {metric}; give less than {span:g}")
        if task == "regression":
            for path in ("fairness", "calibration", "robustness", "negative_flips"):
                if getattr(self, path) is not None:
                    raise ValueError(f"gate.{path}: it is not measured for {task!r} models; remove it")
