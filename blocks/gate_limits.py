"""The limits of the gate's checks: each is a key of its own under `gate`."""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from everfit.blocks.policy import Policy


class SlicePolicy(Policy):
    """No slice of the rows may lose more than a limit to the champion.

    A slice fails when its loss exceeds `max_loss` and is significant after a correction for the number of slices. A
    slice with too few rows, or too few rows outside of its most frequent class, is not judged; the reason names it.
    """

    columns: tuple[str, ...] = Field(
        default=(),
        description="The columns whose values (or quantile bins) form the slices. By default they are the "
        "protected columns.",
    )
    min_rows: int = Field(default=200, ge=2, description="The smallest number of rows of a slice that is judged.")
    min_class_rows: int = Field(
        default=20,
        ge=1,
        description="The smallest number of rows outside of a slice's most frequent class. A slice with fewer, "
        "such as one of a single class, is not judged.",
    )
    small_slices: Literal["report", "fail"] = Field(
        default="report",
        description="The treatment of a slice that is too small to judge: `report` names it in the reason, `fail` "
        "fails the check.",
    )
    max_loss: FiniteFloat = Field(default=0.0, ge=0, description="The largest loss of a slice in the primary metric.")
    false_discovery_rate: FiniteFloat = Field(
        default=0.05, gt=0, lt=1, description="The expected share of false alarms among the slices that fail."
    )


class FairnessPolicy(Policy):
    """Limits on how differently the model treats the groups of a protected column."""

    max_demographic_parity_difference: FiniteFloat | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The largest difference between the groups' shares of positive predictions.",
    )
    max_equalized_odds_difference: FiniteFloat | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The largest difference between the groups' true positive rates or false positive rates, "
        "whichever is larger.",
    )
    max_worsening: FiniteFloat | None = Field(
        default=None, ge=0, lt=1, description="The largest increase of either difference over the champion's."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        _require_a_limit(self)
        return self


class CalibrationPolicy(Policy):
    """Limits on the error of the predicted probabilities."""

    max_error: FiniteFloat | None = Field(
        default=None, gt=0, lt=1, description="The largest expected calibration error."
    )
    max_worsening: FiniteFloat | None = Field(
        default=None, ge=0, lt=1, description="The largest increase of that error over the champion's."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        _require_a_limit(self)
        return self


class RobustnessPolicy(Policy):
    """A limit on how many predictions flip under small changes of the input."""

    max_flip_share: FiniteFloat = Field(
        gt=0,
        lt=1,
        description="The largest share of predictions that may change their class under the worst of the tested "
        "changes.",
    )


class NegativeFlipsPolicy(Policy):
    """Limits on rows that the champion answers right and the challenger wrong.

    A release may be better on the whole and still take away what people relied on: S. Yan et al., "Positive-Congruent
    Training: Towards Regression-Free Model Updates", CVPR 2021.
    """

    max_share: FiniteFloat | None = Field(
        default=None, gt=0, lt=1, description="The largest share of such rows among all rows of the hold-out."
    )
    max_slice_share: FiniteFloat | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="The largest share of such rows in any slice of `gate.slices`, or of the protected columns. Slices "
        "with fewer rows than `gate.slices.min_rows` are not judged.",
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        _require_a_limit(self)
        return self


class ForgettingPolicy(Policy):
    """A limit on the quality that a challenger loses on rows of the past.

    Some rows are kept out of all training for good. Those before the hold-out are cut into stretches of time, and on
    each of them the challenger is compared with the champion. A stretch fails when its loss exceeds `max_loss` and is
    significant after a correction for their number. A champion from before the key was set has learned from these rows,
    so it seems better on them than it is.
    """

    max_loss: FiniteFloat = Field(
        ge=0, description="The largest loss to the champion on any stretch of the past, in the primary metric."
    )
    share: FiniteFloat = Field(
        default=0.05, gt=0, le=0.5, description="The share of rows, or of entities, that no model is trained on."
    )
    stretches: int = Field(default=4, ge=1, le=20, description="The number of stretches of time.")
    min_rows: int = Field(
        default=100, ge=20, description="The smallest number of kept rows of a stretch. There are fewer stretches then."
    )
    confidence: FiniteFloat = Field(
        default=0.95, gt=0.5, lt=1, description="The confidence, over all stretches, that a loss is no chance."
    )


class ReplayPolicy(Policy):
    """The prediction log of the last days is answered again by the challenger before a release.

    So a model is tried on what it will be asked, whether a service or batch scoring asks it. Answers are compared with
    those that the champion gave, and with the labels that are known.
    """

    days: int = Field(default=28, ge=1, le=3660, description="The number of days of the log before the turn.")
    max_changed: FiniteFloat | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The largest share of rows that get another class, or of a regression the mean distance of the "
        "answers as a share of the spread of the champion's.",
    )
    max_loss: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="The largest loss to the champion on the rows with labels, in the primary metric, at "
        "`gate.confidence`.",
    )


class BusinessValuePolicy(Policy):
    """The business value that a release must add, in the unit of `training.business_value`."""

    min_gain: FiniteFloat = Field(
        default=0.0,
        description="The smallest gain in value per row of the hold-out over the champion; for a first champion, "
        "over no action.",
    )


class ServingCheckPolicy(Policy):
    """A check that loads the challenger in the prediction service's own code before its release."""

    p99_ms: FiniteFloat | None = Field(
        default=None, gt=0, description="The largest p99 latency of a single-row prediction, in milliseconds."
    )
    size_mb: FiniteFloat | None = Field(
        default=None, gt=0, description="The largest size of the stored model, in megabytes."
    )
    memory_mb: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="The largest memory of a process that has loaded the model, in megabytes.",
    )
    requests_per_second: FiniteFloat | None = Field(
        default=None,
        gt=0,
        exclude_if=lambda limit: limit is None,
        description="The smallest number of requests with one row that the whole service answers in a second on one "
        "core. The check measures it whether or not there is a limit, beside the champion's, for about 20 seconds.",
    )


def _require_a_limit(policy: Policy) -> None:
    """Reject a policy without a limit.

    Raises:
        ValueError: None of its limits is set.
    """
    if all(value is None for value in dict(policy).values()):
        raise ValueError("it sets no limit; give at least one, or remove the key to switch the check off")
