"""How the numbers of a column of text are written."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from everfit.blocks.policy import Policy


class WrittenNumber(Policy):
    """How the numbers of one column are written.

    The unit may stand before or after the number, and may be left out: `45 %` and `45` are the same number. Thousands
    may be separated by blanks, apostrophes, and the mark that isn't the decimal one. Brackets mean minus.
    """

    unit: Annotated[str, StringConstraints(pattern=r"^(?:[^\d\s.,'’()+-](?:.*[^\s)-])?)?$")] = Field(  # noqa: RUF001
        default="",
        description="The unit beside the number, such as `$`, `%` or `kg`. A value with another unit is bad. By "
        "default there is none.",
    )
    decimal: Literal[".", ","] = Field(default=".", description="The mark before the decimals, `.` or `,`.")
