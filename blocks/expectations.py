"""The expectations of a model's data."""

from typing import Any, Literal

from pydantic import Field

from everfit.blocks.policy import Policy


class Expectation(Policy):
    """One expectation, as Great Expectations names it."""

    type: str = Field(
        pattern=r"^expect_[a-z0-9_]+$",
        description="The name of an expectation in Great Expectations, such as `expect_column_values_to_not_be_null`.",
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict, description="The arguments of the expectation, such as `{column: origin, mostly: 0.99}`."
    )


class ExpectationsPolicy(Policy):
    """The expectations that the data must meet.

    A row that fails an expectation with `mostly` of 1 (the default) goes into quarantine. An expectation with a lower
    `mostly` tolerates failing rows up to that share; beyond it the whole batch is rejected.
    """

    suite: tuple[Expectation, ...] | None = Field(
        default=None,
        description="The expectations. By default everfit infers them from the first window and keeps them with "
        "the model as `expectations.yaml`. Inferred bounds yield to measured quality, until a person edits that file "
        "or accepts a proposal by `everfit expectations MODEL --write`.",
    )
    max_bad_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The largest share of failing rows; beyond it the whole batch is rejected.",
    )
    rhythm: Literal["warn", "refuse", "ignore"] = Field(
        default="warn",
        description="The consequence of rows that don't follow their rhythm by hour, weekday and trend: `warn` "
        "reports it, `refuse` rejects the batch, and with `ignore` no rhythm is learnt, in monitoring neither.",
    )
