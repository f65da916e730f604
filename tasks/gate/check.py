"""A check of the gate, its results, and how they are worded."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.gate.evidence import Check, Evidence

Checks = Iterator[Check]
"""The results of one check; empty if it is off or does not apply."""


@dataclass(frozen=True)
class GateCheck:
    """The declaration of a check.

    Attributes:
        name: Its results have this name, or begin with it.
        place: Checks are made in the order of their places; the first that fails is the headline.
        summary: The condition that must hold, in one sentence, for the documentation.
        policy: The key under `gate` in the spec that switches it on or sets its limits, if there is one.
        judge: From evidence and policy to results.
        measured: Whether `tasks/evaluation` has a module of this name, whose `measure` returns the evidence.
        open_on_few_rows: Whether a hold-out that is too small leaves the check open: never, if its evidence is missing,
            or always. `gate.small_holdout` says what happens then.
    """

    name: str
    place: int
    summary: str
    policy: str | None
    judge: Callable[[Evidence, GatePolicy], Checks]
    measured: bool = False
    open_on_few_rows: Literal["never", "missing", "always"] = "never"

    def is_open(self, result: Check) -> bool:
        """Return whether a longer hold-out, or a person, may still decide on a result that failed."""
        return self.open_on_few_rows == "always" or (self.open_on_few_rows == "missing" and result.value is None)


def number(value: float | None) -> str:
    """Return a number in short form: `.697`, `-.002`, `12.3`, `1,234`.

    Example:
        >>> number(0.6971), number(-0.00021), number(12.34), number(None)
        ('.697', '-.00021', '12.3', 'not measured')
    """
    if value is None:
        return "not measured"
    size = abs(value)
    if size == 0 or size >= 1000:
        return f"{value + 0.0:,.0f}"  # no minus before a zero
    if size >= 1:
        return f"{value:.3g}"
    if size < 1e-6:
        return f"{value:.0e}"
    digits = 3 if size >= 1e-3 else 1 - math.floor(math.log10(size))
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def percent(share: float) -> str:
    """Return a share in per cent: `95 %`."""
    return f"{100 * share:.6g} %"


def judge(name: str, value: float | None, bound: float, *, at_most: bool, subject: str) -> Check:
    """Check a measured value against a bound that it may reach; a value that was not measured does not pass."""
    passed = value is not None and (value <= bound if at_most else value >= bound)
    limit = f"{'at most' if at_most else 'at least'} {number(bound)}"
    if value is None:
        reason = f"{subject} was not measured, so it is unknown whether it is {limit}"
    elif passed:
        reason = f"{subject} is {number(value)}; the gate requires {limit}"
    else:
        reason = f"{subject} is {number(value)}; it must be {limit}"
    return Check(name=name, passed=passed, value=value, bound=bound, reason=reason)


def missing(name: str, subject: str, cause: str | None = None) -> Check:
    """Return a failed check: there is no evidence for it.

    Args:
        name: The name of the check.
        subject: The subject that was to be measured.
        cause: Why it could not be, if that is known.
    """
    because = f" ({cause})" if cause else ""
    return Check(name=name, passed=False, reason=f"{subject} was not measured{because}; unknown evidence does not pass")


def too_unsure(name: str, comparison: PairedComparison, policy: GatePolicy) -> Check:
    """Return a failed check: the comparison has less confidence than the policy asks for."""
    sure, required = percent(comparison.confidence), percent(policy.confidence)
    reason = f"compared at {sure} confidence only; the gate requires {required}"
    return Check(name=name, passed=False, value=comparison.confidence, bound=policy.confidence, reason=reason)
