"""How two models differ on the same rows: what statistics measures and the gate reads."""

from typing import Literal

from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Record


class PairedComparison(Record):
    """How two models differ in a metric on the same rows."""

    metric: str
    rows: int
    rarest_class_rows: int | None = Field(default=None, description="Rows of the rarest class; none for regression.")
    challenger: FiniteFloat = Field(description="The challenger's value.")
    champion: FiniteFloat = Field(description="The champion's (or the dummy's) value.")
    difference: FiniteFloat = Field(description="Positive when the challenger is better.")
    lower: FiniteFloat = Field(description="One-sided lower bound of the difference.")
    upper: FiniteFloat = Field(description="One-sided upper bound of the difference.")
    p_value: FiniteFloat = Field(description="Of such a gain if the challenger were not better.")
    p_value_worse: FiniteFloat = Field(description="Of such a loss if the challenger were not worse.")
    confidence: FiniteFloat = Field(description="Of each bound on its own.")
    method: Literal["identical", "bootstrap", "delong", "mcnemar"]
    draws: int | None = Field(default=None, description="Of the bootstrap.")
    seed: int | None = Field(default=None, description="Of the bootstrap.")
