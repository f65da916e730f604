"""A user's own gate checks: call each with the evidence, and keep its result as evidence."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from pydantic import ValidationError

from everfit.blocks.errors import ExtensionError
from everfit.blocks.extensions import GATE_CHECKS_GROUP
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.gate.check import number
from everfit.tasks.gate.evidence import Check, Evidence

_ALLOWED = "return True or False, a margin, (passed, reason), or an everfit.tasks.Check"


def with_own_checks(evidence: Evidence, names: Sequence[str]) -> Evidence:
    """Return the evidence with the results of the user's own checks.

    Each check gets a copy of the evidence, so it can change nothing. One that raises, or returns no result, has failed.

    Args:
        evidence: All that was measured.
        names: `gate.checks` of the spec.
    """
    if not names:
        return evidence
    return evidence.model_copy(update={"own_checks": tuple(_run(name, evidence) for name in names)})


def _run(name: str, evidence: Evidence) -> Check:
    try:
        function = load_extension(name, GATE_CHECKS_GROUP)
    except ExtensionError as error:
        return Check(name=name, passed=False, reason=f"check {error}")
    try:
        result = function(evidence.model_copy(deep=True))
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything, and the reason names it
        reason = f"check {name!r} failed with {type(error).__name__}: {error}"
        if isinstance(error, KeyError):  # most likely the name of a metric
            reason += f"; the metrics are {', '.join(map(repr, evidence.challenger))}"
        return Check(name=name, passed=False, reason=reason)
    return _checked(name, result) or Check(
        name=name, passed=False, reason=f"check {name!r} returned {result!r:.100}, which is no result; {_ALLOWED}"
    )


def _checked(name: str, result: Any) -> Check | None:
    """Return a function's result as a check, or nothing for anything else."""
    if isinstance(result, (bool, np.bool_)):
        passed = bool(result)
        return Check(name=name, passed=passed, reason=f"check {name!r} {'passed' if passed else 'did not pass'}")
    if isinstance(result, Real):
        margin = float(result)
        return _margin(name, margin) if np.isfinite(margin) else None
    if isinstance(result, tuple) and len(result) == 2:
        result = {"passed": result[0], "reason": result[1]}
    content = result.model_dump() if isinstance(result, Check) else result
    if not isinstance(content, Mapping):
        return None
    try:
        check = Check.model_validate({**content, "name": name}, strict=True)
    except ValidationError:
        return None
    numbers = [value for value in (check.value, check.bound) if value is not None]
    return check if all(np.isfinite(numbers)) else None


def _margin(name: str, margin: float) -> Check:
    reason = f"the margin of check {name!r} is {number(margin)}; it must be at least 0"
    return Check(name=name, passed=margin >= 0, value=margin, bound=0, reason=reason)
