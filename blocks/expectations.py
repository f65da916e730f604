"""What must hold of a model's data."""

from typing import Any

from pydantic import Field

from everfit.blocks.policy import Policy


class Expectation(Policy):
    """One expectation, in Great Expectations' own words."""

    type: str = Field(
        pattern=r"^expect_[a-z0-9_]+$",
        description="An expectation's name in Great Expectations, such as `expect_column_values_to_not_be_null`.",
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict, description="The expectation's arguments, such as `{column: origin, mostly: 0.99}`."
    )


class ExpectationsPolicy(Policy):
    """What must hold of the data.

    An expectation about rows with `mostly` of 1 (the default) keeps the failing rows out; with a lower `mostly`
    it tolerates that share, and fails the whole batch beyond it.
    """

    suite: tuple[Expectation, ...] | None = Field(
        default=None,
        description="The expectations; by default they are made from the first window and kept with the model as "
        "`expectations.yaml`.",
    )
    max_bad_share: float = Field(
        default=0.05, ge=0, le=1, description="The share of rows that may fail before the whole batch is refused."
    )
