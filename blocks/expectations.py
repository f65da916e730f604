"""What must hold of a model's data."""

from typing import Any

from pydantic import Field

from everfit.blocks.policy import Policy


class Expectation(Policy):
    """One expectation, in Great Expectations' own words.

    Attributes:
        type: Its name, such as `expect_column_values_to_not_be_null`.
        kwargs: Its arguments, such as `{column: origin, mostly: 0.99}`.
    """

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$", description="An expectation's name in Great Expectations.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="The arguments of the expectation.")


class ExpectationsPolicy(Policy):
    """What must hold of the data.

    An expectation about rows with `mostly` of 1 (the default) keeps the failing rows out; with a lower `mostly`
    it tolerates that share, and fails the whole batch beyond it.

    Attributes:
        suite: The expectations; by default they are made from the first window and kept with the model.
        max_bad_share: The share of rows that may fail before the whole batch is refused.
    """

    suite: tuple[Expectation, ...] | None = Field(
        default=None, description="By default made from the first window and kept with the model."
    )
    max_bad_share: float = Field(default=0.05, ge=0, le=1, description="Share of bad rows that fails the batch.")
