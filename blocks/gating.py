"""What a challenger must show before it is released."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.metrics import TaskKind, metric_facts
from everfit.blocks.policy import Duration, Policy

Level = Literal["low", "medium", "high"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high")


class SlicePolicy(Policy):
    """No slice of the rows may lose more than a bound to the champion.

    A slice fails when its loss is beyond `max_loss` and, corrected for the number of slices, not due to chance. One
    with too few rows, or too few outside of its most frequent class, can't be judged, and is named in the reason.
    """

    columns: tuple[str, ...] = Field(
        default=(),
        description="The columns whose values (or quantile bins) make the slices; by default the protected ones.",
    )
    min_rows: int = Field(default=200, ge=2, description="Slices with fewer rows are not judged.")
    min_class_rows: int = Field(
        default=20,
        ge=1,
        description="Slices with fewer rows outside of their most frequent class, such as of one class alone, are not "
        "judged.",
    )
    small_slices: Literal["report", "fail"] = Field(
        default="report",
        description="Whether slices that can't be judged are only told of (`tell`), or fail the check (`fail`).",
    )
    max_loss: FiniteFloat = Field(
        default=0.0, ge=0, description="The loss, in the primary metric, that a slice may show."
    )
    false_discovery_rate: FiniteFloat = Field(
        default=0.05, gt=0, lt=1, description="The share of false alarms among the slices that fail."
    )


class FairnessPolicy(Policy):
    """Limits on how differently the groups of a protected column are treated."""

    max_demographic_parity_difference: FiniteFloat | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The widest difference allowed between the groups' shares of positive answers.",
    )
    max_equalized_odds_difference: FiniteFloat | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The widest difference allowed between the groups' true or false positive rates, the wider of the "
        "two.",
    )
    max_worsening: FiniteFloat | None = Field(
        default=None, ge=0, lt=1, description="By how much either difference may be wider than the champion's."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        _require_a_limit(self)
        return self


class CalibrationPolicy(Policy):
    """Limits on how far probabilities are from what happens."""

    max_error: FiniteFloat | None = Field(
        default=None, gt=0, lt=1, description="The largest expected calibration error allowed."
    )
    max_worsening: FiniteFloat | None = Field(
        default=None, ge=0, lt=1, description="By how much that error may be larger than the champion's."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        _require_a_limit(self)
        return self


class RobustnessPolicy(Policy):
    """Limit on how many predictions flip under small changes of the input."""

    max_flip_share: FiniteFloat = Field(
        gt=0,
        lt=1,
        description="The share of predictions that may change their class, by the worst of the changes tried.",
    )


class BusinessValuePolicy(Policy):
    """What the release must be worth, in the unit of the spec's value matrix."""

    min_gain: FiniteFloat = Field(
        default=0.0,
        description="What a row of the hold-out must be worth over the champion; for a first champion, over doing "
        "nothing.",
    )


class ServingCheckPolicy(Policy):
    """The challenger is loaded and asked by the prediction service's own code before it is released."""

    p99_ms: FiniteFloat | None = Field(
        default=None, gt=0, description="Milliseconds in which 99 % of single rows must be answered."
    )
    size_mb: FiniteFloat | None = Field(
        default=None, gt=0, description="The largest size of the stored model, in megabytes."
    )
    memory_mb: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="The most memory that a process may take once it has loaded the model, in megabytes.",
    )


class RiskPolicy(Policy):
    """How bad a bad release would be: the two axes of a risk matrix."""

    probability: Level = Field(
        default="low",
        description="How probable it is that a release that passed the gate still does harm. A first champion counts "
        "one step higher, as there is nothing that it was compared with.",
    )
    impact: Level = Field(default="medium", description="How bad such harm would be.")
    approve_from: Level = Field(
        default="high", description="The level of risk, both taken together, from which a person decides."
    )

    def level(self, *, raised: int = 0) -> Level:
        """The level of a risk: its place in the 3 by 3 matrix of probability and impact.

        Args:
            raised: By how many steps the probability is raised.
        """
        probability = min(LEVELS.index(self.probability) + raised, 2)
        product = (probability + 1) * (LEVELS.index(self.impact) + 1)
        return "low" if product <= 2 else "medium" if product <= 4 else "high"


class GatePolicy(Policy):
    """What a challenger must show before it takes the champion's place.

    By default the challenger must be better than the champion with 95 % confidence: a release costs attention
    and trust even when it does no harm, an equal model is no reason for one, and chains of "not much worse"
    drift downwards. Where releases are cheap and newer data is wanted for its own sake, `non_inferiority` with
    a margin releases what is not worse by more than that.
    """

    minimum: dict[str, FiniteFloat] = Field(
        default_factory=dict,
        description="The worst value allowed, by metric: at least this for scores, at most this for losses.",
    )
    comparison: Literal["superiority", "non_inferiority"] = Field(
        default="superiority",
        description="Whether the challenger must be better (`superiority`) or not much worse (`non_inferiority`).",
    )
    confidence: FiniteFloat = Field(
        default=0.95, gt=0.5, lt=1, description="How sure it must be, one-sided, that the gain is above its bound."
    )
    min_gain: FiniteFloat = Field(
        default=0.0, ge=0, description="What the lower bound of the gain must exceed, under `superiority`."
    )
    margin: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="By how much the challenger may be worse, with that confidence, under `non_inferiority`; in the "
        "metric's unit.",
    )
    draws: int = Field(
        default=2000, ge=100, le=100_000, description="How many draws the bootstrap of the comparison has."
    )
    resample: Literal["rows", "days"] = Field(
        default="rows",
        description="What the bootstrap draws: `days` where rows of one day are not independent of each other; bounds "
        "are wider then.",
    )
    min_rows: int = Field(
        default=200, ge=2, description="How many rows the hold-out must have for the comparison to count."
    )
    min_class_rows: int = Field(default=20, ge=1, description="How many rows of the rarest class it must have.")
    small_holdout: Literal["keep", "extend", "ask"] = Field(
        default="keep",
        description="What to do with fewer: `keep` the champion, `extend` the hold-out, or `ask` a person.",
    )
    dummy: bool = Field(default=True, description="Whether the challenger must beat a model that looks at nothing.")
    expectations: bool = Field(default=True, description="Whether the data's expectations must have passed.")
    leaks: bool = Field(
        default=True, description="Whether a feature that is suspected of knowing the label blocks the release."
    )
    slices: SlicePolicy | None = Field(
        default=None, description="No slice may lose more than a bound; not checked by default."
    )
    fairness: FairnessPolicy | None = Field(
        default=None, description="Limits between protected groups; not checked by default."
    )
    calibration: CalibrationPolicy | None = Field(
        default=None, description="Limits on the error of probabilities; not checked by default."
    )
    robustness: RobustnessPolicy | None = Field(
        default=None,
        description="A limit on predictions that change under small changes of the input; not checked by default.",
    )
    business_value: BusinessValuePolicy | None = Field(
        default=None, description="What the release must be worth; not checked by default."
    )
    serving: ServingCheckPolicy | None = Field(
        default=None, description="The challenger is tried in the prediction service's own code; not tried by default."
    )
    conversion: bool = Field(
        default=False,
        description="Whether the challenger must be released in `release.format`; by default one that can't be "
        "converted is released as it is.",
    )
    approval: Literal["never", "always", "on_risk"] = Field(
        default="never",
        description="Whether a person decides on what has passed: `never`, `always`, or `on_risk`, from the level of "
        "`risk` on.",
    )
    risk: RiskPolicy = Field(
        default_factory=RiskPolicy, description="How bad a bad release would be, for `approval: on_risk`."
    )
    approval_expires: Duration = Field(
        default=timedelta(days=7), description="How long a challenger waits for a person; then it is rejected."
    )

    @model_validator(mode="after")
    def _can_be_satisfied(self) -> Self:
        for name, value in self.minimum.items():
            facts = metric_facts(name)
            if not facts.lowest <= value <= facts.highest:
                raise ValueError(
                    f"minimum.{name}: {value!r} can't be reached; allowed: {facts.lowest:g} to {facts.highest:g}"
                )
        if self.comparison == "non_inferiority" and self.margin is None:
            raise ValueError("margin: non_inferiority needs one; allowed: a number above 0, in the metric's unit")
        if self.comparison == "superiority" and self.margin is not None:
            raise ValueError(
                f"margin: {self.margin!r} is of no use under superiority; leave it out, or set "
                "comparison: non_inferiority"
            )
        if self.comparison == "non_inferiority" and self.min_gain > 0:
            raise ValueError(
                f"min_gain: {self.min_gain!r} is of no use under non_inferiority; leave it out, or set "
                "comparison: superiority"
            )
        if self.approval_expires <= timedelta(0):
            raise ValueError("approval_expires: a duration of 0 rejects at once; allowed: a span such as 7d")
        return self

    def check(self, task: TaskKind, metric: str) -> None:
        """Refuse a gate that no model of a task could pass.

        Args:
            task: The spec's task.
            metric: The primary metric, in which champion and challenger are compared.

        Raises:
            ValueError: a minimum of a metric that doesn't serve the task, a gain or loss wider than the primary
                metric's range, or a check that the task has no values for.
        """
        for name in self.minimum:
            try:
                metric_facts(name, task)
            except ValueError as error:
                raise ValueError(f"gate.minimum.{name}: {error}") from None
        span = metric_facts(metric, task).span
        losses = {"margin": self.margin, "slices.max_loss": self.slices.max_loss if self.slices else None}
        for path, value in {"min_gain": self.min_gain, **losses}.items():
            if value is not None and value >= span:
                raise ValueError(f"gate.{path}: {value!r} is as wide as {metric} itself; allowed: less than {span:g}")
        if task == "regression":
            for path in ("fairness", "calibration", "robustness"):
                if getattr(self, path) is not None:
                    raise ValueError(f"gate.{path}: not measured for {task!r} models; leave it out")


def _require_a_limit(policy: Policy) -> None:
    """Refuse a policy that is on and limits nothing.

    Raises:
        ValueError: none of its limits is set.
    """
    if all(value is None for value in dict(policy).values()):
        raise ValueError("sets no limit; give at least one, or leave it out to switch the check off")
