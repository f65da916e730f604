"""Count the results of an expectation chunk by chunk, and combine them."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from everfit.blocks.expectations import Expectation
from everfit.tasks.core.records import Record

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

FEW_ROWS = 100
"""With fewer rows, `mostly` fails only for a number of bad rows that chance would reach once in a thousand batches."""

_FAILED = "it does not hold"
_SHOWN, _COMMON = 5, 5
"""Unexpected values in words, at most; and the rows that must share one of them, so that it is not one person's."""


class ExpectationResult(Record):
    """Result of one expectation."""

    expectation: str = Field(description="The expectation with its arguments, as in the reason of a quarantined row.")
    passed: bool
    unexpected: int = Field(description="Number of unexpected rows; 0 for an expectation on the whole table.")
    observed: str = ""
    strict: bool = Field(default=False, description="Whether each unexpected row is bad.")
    counted: int = Field(default=0, description="Number of values checked; 0 for an expectation on the whole table.")
    samples: tuple[str, ...] = Field(default=(), description="Some unexpected values.")
    warning: bool = Field(default=False, description="Whether a failure is only reported.")

    @property
    def refuses_batch(self) -> bool:
        """Return whether the batch is refused: the expectation failed without bad rows to blame."""
        return not self.passed and not self.warning and not (self.strict and self.unexpected)


@dataclass
class ExpectationTally:
    """Running result of an expectation.

    Attributes:
        expectation: The expectation.
        strict: Whether each unexpected row is bad.
        failed: Whether a chunk failed without naming rows.
    """

    expectation: Expectation
    strict: bool
    failed: bool = False
    unexpected: int = 0
    counted: int = 0
    observed: str = ""
    seen: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, result: "ExpectationValidationResult") -> list[int]:
        """Add the result of a chunk.

        Returns:
            Positions of the bad rows in the chunk.
        """
        details = result.result or {}
        if not details and not result.success:
            self.failed, self.observed = True, _error(result)
            return []
        if "unexpected_count" not in details or "element_count" not in details:
            self.failed |= not result.success
            self.observed = short(details.get("observed_value", ""), 120)
            return []
        self.unexpected += int(details["unexpected_count"])
        self.counted += int(details["element_count"]) - int(details.get("missing_count") or 0)
        some = [
            _shown(value)
            for value in details.get("partial_unexpected_list", [])
            if not (pd.api.types.is_scalar(value) and pd.isna(value))
        ]
        self.seen.update(some[:_SHOWN])
        self.counts.update(some)
        if not self.strict:
            return []
        return sorted({int(row) for row in details.get("unexpected_index_list") or []})

    def exists(self, there: bool) -> None:
        """Add that a column is there, or not, in the words for a result of Great Expectations without details."""
        if not there:
            self.failed, self.observed = True, _FAILED

    def judge(self, met: bool, value: float | None) -> None:
        """Add the result for all rows at once.

        Args:
            met: Whether the expectation holds.
            value: The value of the column, as Great Expectations would show it.
        """
        self.failed |= not met
        self.observed = short(value, 120)

    def merge(self, other: "ExpectationTally") -> None:
        """Add the tally of later chunks."""
        self.failed |= other.failed
        self.observed = other.observed or self.observed
        self.unexpected += other.unexpected
        self.counted += other.counted
        self.seen |= other.seen
        self.counts.update(other.counts)

    def outcome(self) -> ExpectationResult:
        """Return the combined result."""
        mostly = float(self.expectation.kwargs.get("mostly", 1.0))
        passed = not self.failed and (
            self.counted - self.unexpected >= mostly * self.counted - 1e-9
            or (not self.strict and self.counted < FEW_ROWS and _by_chance(self.unexpected, self.counted, 1 - mostly))
        )
        observed, samples = self.observed, tuple(sorted(self.seen)[:_SHOWN])
        if self.unexpected:
            share = self.unexpected / max(1, self.counted)
            # The value of a single row stays out of it: texts go where `everfit forget` does not reach.
            some = ", ".join([value for value, count in self.counts.most_common(_SHOWN) if count >= _COMMON])
            observed = f"{self.unexpected:,} of {self.counted:,} ({share:.1%})" + (f", such as {some}" if some else "")
        return ExpectationResult(
            expectation=describe_expectation(self.expectation),
            passed=passed,
            unexpected=self.unexpected,
            observed=observed,
            strict=self.strict,
            counted=self.counted,
            samples=samples,
        )


def _by_chance(unexpected: int, rows: int, share: float) -> bool:
    """Return whether chance may well give this many bad rows when their true share is the allowed one."""
    tail = sum(math.comb(rows, k) * share**k * (1 - share) ** (rows - k) for k in range(unexpected, rows + 1))
    return tail >= 0.001


def describe_expectation(expectation: Expectation) -> str:
    """Return an expectation with its arguments, as reasons show it."""
    arguments = ", ".join(f"{key}={short(value)}" for key, value in expectation.kwargs.items())
    return f"{expectation.type}({arguments})"


def short(value: object, limit: int = 60) -> str:
    """Return a value as text, shortened to the limit."""
    text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _shown(value: object) -> str:
    """Return a value, or the values of several columns, for people."""
    return f"({', '.join(map(short, value))})" if isinstance(value, tuple) else short(value)


def _error(result: "ExpectationValidationResult") -> str:
    info = result.exception_info or {}
    errors = [entry for entry in info.values() if isinstance(entry, dict)]
    message = errors[0].get("exception_message") if errors else info.get("exception_message")
    return short(message or _FAILED, 200)
