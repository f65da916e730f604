"""The findings of an expectation: counted piece by piece, and told as one outcome."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from everfit.blocks.expectations import Expectation
from everfit.tasks.core.records import Record

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

FEW_ROWS = 100
"""In fewer rows than this, `mostly` is exceeded only by more rows than chance would bring once in a thousand times."""


class ExpectationResult(Record):
    """The findings of one expectation."""

    expectation: str = Field(description="In words, as the reason that a quarantined row carries.")
    passed: bool
    unexpected: int = Field(description="How many rows are not as expected; 0 for one about the whole table.")
    observed: str = ""
    strict: bool = Field(default=False, description="Whether the rows that are not as expected are bad by themselves.")
    counted: int = Field(default=0, description="Of how many values; 0 for one about the whole table.")
    samples: tuple[str, ...] = Field(default=(), description="Some values that are not as expected.")

    @property
    def refuses_batch(self) -> bool:
        """Whether it fails the batch: it failed, and there are no rows to blame for it."""
        return not self.passed and not (self.strict and self.unexpected)


@dataclass
class ExpectationTally:
    """The findings of an expectation so far.

    Attributes:
        expectation: Which.
        strict: Whether each row that is not as expected is bad.
        failed: Whether a piece failed without naming rows.
    """

    expectation: Expectation
    strict: bool
    failed: bool = False
    unexpected: int = 0
    counted: int = 0
    observed: str = ""
    seen: set[str] = field(default_factory=set)

    def add(self, result: "ExpectationValidationResult") -> list[int]:
        """Count the result of a piece in.

        Returns:
            The positions in the piece of rows that are bad.
        """
        found = result.result or {}
        if not found and not result.success:
            self.failed, self.observed = True, _error(result)
            return []
        if "unexpected_count" not in found or "element_count" not in found:
            self.failed |= not result.success
            self.observed = short(found.get("observed_value", ""), 120)
            return []
        self.unexpected += int(found["unexpected_count"])
        self.counted += int(found["element_count"]) - int(found.get("missing_count") or 0)
        some = found.get("partial_unexpected_list", [])[:5]
        self.seen.update(_shown(value) for value in some if not (pd.api.types.is_scalar(value) and pd.isna(value)))
        if not self.strict:
            return []
        return sorted({int(row) for row in found.get("unexpected_index_list") or []})

    def outcome(self) -> ExpectationResult:
        """What it found in all."""
        mostly = float(self.expectation.kwargs.get("mostly", 1.0))
        passed = not self.failed and (
            self.counted - self.unexpected >= mostly * self.counted - 1e-9
            or (not self.strict and self.counted < FEW_ROWS and _by_chance(self.unexpected, self.counted, 1 - mostly))
        )
        observed, samples = self.observed, tuple(sorted(self.seen)[:5])
        if self.unexpected:
            share = self.unexpected / max(1, self.counted)
            some = ", ".join(samples)
            observed = f"{self.unexpected:,} of {self.counted:,} ({share:.1%})" + (f", such as {some}" if some else "")
        return ExpectationResult(
            expectation=in_words(self.expectation),
            passed=passed,
            unexpected=self.unexpected,
            observed=observed,
            strict=self.strict,
            counted=self.counted,
            samples=samples,
        )


def _by_chance(unexpected: int, rows: int, share: float) -> bool:
    """Whether so many of so few rows may well be unexpected when the share of such rows is the one allowed."""
    tail = sum(math.comb(rows, k) * share**k * (1 - share) ** (rows - k) for k in range(unexpected, rows + 1))
    return tail >= 0.001


def in_words(expectation: Expectation) -> str:
    """An expectation with its arguments, as a reason names it."""
    arguments = ", ".join(f"{key}={short(value)}" for key, value in expectation.kwargs.items())
    return f"{expectation.type}({arguments})"


def short(value: object, limit: int = 60) -> str:
    """A value as text that is not longer than the limit."""
    text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _shown(value: object) -> str:
    """A value, or those of several columns, as a person writes it."""
    return f"({', '.join(map(short, value))})" if isinstance(value, tuple) else short(value)


def _error(result: "ExpectationValidationResult") -> str:
    info = result.exception_info or {}
    errors = [entry for entry in info.values() if isinstance(entry, dict)]
    message = errors[0].get("exception_message") if errors else info.get("exception_message")
    return short(message or "it is not so", 200)
