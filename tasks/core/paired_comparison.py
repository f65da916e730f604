"""How two models differ on the same rows: what statistics measures and the gate reads."""

import math
from statistics import NormalDist
from typing import Literal

from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Record


def _is_none(value: object) -> bool:
    return value is None  # left out of the JSON, so that evidence without it keeps its digest


def _is_zero(value: object) -> bool:
    return value == 0


class Autocorrelation(Record):
    """The likelihood of gains by group, in order of time, at each autocorrelation that there may be."""

    grouped_by: str = Field(description="The unit of time, such as days.")
    groups: int = Field(ge=1)
    log_likelihoods: tuple[FiniteFloat, ...] = Field(
        description="At each autocorrelation that the error is averaged over, less the greatest."
    )


class EarlierGains(Record):
    """The autocorrelation of the gains over an earlier champion, as evidence on the gains over the present one."""

    champion: int = Field(description="The version of the earlier champion.")
    overall: Autocorrelation | None = None
    within: Autocorrelation | None = Field(default=None, description="The same of gains within groups, where measured.")


class WithinGroups(Record):
    """How two models differ among rows of the same group, such as the same day: what a group shares cancels."""

    difference: FiniteFloat = Field(description="Positive when the challenger is better.")
    standard_error: FiniteFloat
    degrees_of_freedom: FiniteFloat
    groups: int
    grouped_by: str = Field(description="Such as days.")
    earlier_groups: int = Field(
        default=0, exclude_if=_is_zero, description="Groups of earlier comparisons that the error counts too."
    )

    def reach(self, confidence: float, growth: float = 1.0) -> float:
        """Return how far below the difference its one-sided lower bound is.

        Args:
            confidence: The confidence of the bound, in (0.5, 1).
            growth: On how many times as many rows it is.
        """
        return _reach(self.standard_error, self.degrees_of_freedom, confidence, growth)


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
    p_value: FiniteFloat = Field(description="The probability of such a gain if the challenger were not better.")
    p_value_worse: FiniteFloat = Field(description="The probability of such a loss if the challenger were not worse.")
    confidence: FiniteFloat = Field(description="The confidence of each bound on its own.")
    method: Literal["identical", "bootstrap", "delong", "mcnemar", "jackknife"]
    draws: int | None = Field(default=None, description="The number of draws of the bootstrap.")
    seed: int | None = Field(default=None, description="The seed of the bootstrap.")
    standard_error: FiniteFloat | None = Field(
        default=None, exclude_if=_is_none, description="The standard error of the jackknife."
    )
    degrees_of_freedom: FiniteFloat | None = Field(
        default=None, exclude_if=_is_none, description="The degrees of freedom of the jackknife."
    )
    groups: int | None = Field(default=None, exclude_if=_is_none, description="Groups of dependent rows.")
    grouped_by: str | None = Field(default=None, exclude_if=_is_none, description="Such as days, or a column.")
    autocorrelation: Autocorrelation | None = Field(
        default=None,
        exclude_if=_is_none,
        description="Autocorrelation of the gains by time, for later comparisons of the model.",
    )
    autocorrelation_within: Autocorrelation | None = Field(
        default=None,
        exclude_if=_is_none,
        description="The same of the gains within groups of time, whether or not these are the more certain ones.",
    )
    earlier_groups: int = Field(
        default=0, exclude_if=_is_zero, description="Groups of earlier comparisons that the error counts too."
    )
    within: WithinGroups | None = Field(
        default=None, exclude_if=_is_none, description="Among rows of the same time, where that is more certain."
    )

    @property
    def deviation(self) -> float:
        """Return the standard error of the difference."""
        if self.standard_error is not None:
            return self.standard_error
        return (self.difference - self.lower) / NormalDist().inv_cdf(self.confidence)

    def reach(self, confidence: float, growth: float = 1.0) -> float:
        """Return how far below the difference its one-sided lower bound is at another confidence.

        Args:
            confidence: The confidence of the bound, in (0.5, 1).
            growth: On how many times as many rows it is.
        """
        if self.standard_error is not None and self.degrees_of_freedom is not None:
            return _reach(self.standard_error, self.degrees_of_freedom, confidence, growth)
        normal = NormalDist()
        reach = (self.difference - self.lower) * normal.inv_cdf(confidence) / normal.inv_cdf(self.confidence)
        return reach / math.sqrt(growth)


def _reach(standard_error: float, degrees_of_freedom: float, confidence: float, growth: float) -> float:
    """Return the reach of a bound where groups, and so degrees of freedom, grow as the rows do."""
    from scipy.stats import t

    return float(t.ppf(confidence, growth * degrees_of_freedom)) * standard_error / math.sqrt(growth)
