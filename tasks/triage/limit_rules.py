"""The rules about the limits of fairness and calibration: watched at first, then what the spec asks for. Pure."""

from collections.abc import Iterator
from itertools import takewhile

from everfit.blocks.live_limits import LivePolicy, WhenBroken
from everfit.tasks.triage.case import Case, Finding, sign
from everfit.tasks.triage.limit_signals import LimitedArea
from everfit.tasks.triage.non_overlapping import NEARLY, non_overlapping
from everfit.tasks.triage.retraining_request import request_retraining


def broken_limit_retraining(case: Case) -> Finding | None:
    """A limit of fairness or calibration is lastingly exceeded, and the spec asks to retrain."""
    reasons, signature = _lasting(case, "retrain")
    if not reasons:
        return None
    return request_retraining("broken_limit_retraining", "signal", case, reasons, signature=signature)


def broken_limit_escalation(case: Case) -> Finding | None:
    """A limit of fairness or calibration is lastingly exceeded, and the spec asks to notify a person."""
    reasons, signature = _lasting(case, "escalate")
    if not reasons:
        return None
    return Finding(rule="broken_limit_escalation", verdict="escalate", reasons=reasons, signature=signature)


def broken_limit(case: Case) -> Finding | None:
    """A limit of fairness or calibration is surely exceeded: watched, until the spec asks for more."""
    broken = [(f"{area.name}.{figure.name}", figure.summary) for area, _ in _areas(case) for figure in area.broken]
    if not broken:
        return None
    reasons, signature = tuple(summary for _, summary in broken), sign("limit", sorted(name for name, _ in broken))
    return Finding(rule="broken_limit", verdict="watch", reasons=reasons, signature=signature)


def broken_limits(case: Case) -> tuple[str, ...]:
    """Return the names of the figures that are beyond their limits in this window, which later windows remember."""
    return tuple(f"{area.name}.{figure.name}" for area, _ in _areas(case) for figure in area.broken)


def _lasting(case: Case, action: WhenBroken) -> tuple[tuple[str, ...], str]:
    """Return a reason for each figure that was broken for as long as the spec allows, and their signature."""
    reasons, names = [], []
    for area, policy in _areas(case):
        if policy is None or policy.when_broken != action:
            continue
        for figure in area.broken:
            name = f"{area.name}.{figure.name}"
            windows = _windows(case, name)
            if windows >= policy.windows:
                times = "this window" if windows == 1 else f"{windows} windows in a row"
                reasons += [figure.summary, f"the limit of the {figure.label} was exceeded in {times}"]
                names.append(name)
    return tuple(reasons), sign("limit", sorted(names))


def _areas(case: Case) -> Iterator[tuple[LimitedArea, LivePolicy | None]]:
    policy = case.policy.monitoring
    yield case.signals.fairness, policy.fairness
    yield case.signals.calibration, policy.calibration


def _windows(case: Case, name: str) -> int:
    """Return for how many windows in a row a limit was broken, this one included; overlapping ones count once."""
    champion = case.signals.reference.id
    row = takewhile(
        lambda past: name in past.broken_limits and past.reference == champion, reversed(case.history.windows)
    )
    return 1 + len(non_overlapping(list(row), lambda past: past.window, before=case.signals.window, shared=NEARLY))
