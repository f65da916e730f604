"""The rules of triage about data that came or did not; `everfit.tasks.triage.rules` has all rules in their order."""

from everfit.blocks.policy import format_duration
from everfit.tasks.triage.case import Case, Finding, sign
from everfit.tasks.triage.signals import INFERRED_BOUND
from everfit.tasks.triage.verdicts import Verdict

_SURELY_SOME = 7.0
"""If this many rows are expected, none come by chance once in a thousand times (Poisson)."""
_SMALL_GAPS = 0.01
"""Hours that lack less than this share of a window's rows are watched: a holiday in a month, and not half a Monday."""
_PATIENCE = 1.25
"""A pause may be longer than the usual one by this factor."""


def bounds_yield(case: Case) -> bool:
    """Return whether all that is wrong with the data are bounds that everfit inferred, and measured quality decides.

    A sure loss of quality is a better reason to learn from such rows than a guessed bound is to refuse them. Where
    nothing is sure, the bounds hold until all labelled rows are from after the change; then the gate may judge.
    """
    problems = case.signals.data.bad
    if not problems or any(problem.kind != INFERRED_BOUND for problem in problems):
        return False
    if any(loss is not None and loss.lost for loss in (case.realised, case.unrecovered)):
        return True
    return case.realised is not None and case.is_labelled_since_the_problem


def bad_data(case: Case) -> Finding | None:
    """The data is broken, so no model may learn from it."""
    problems, signature = case.signals.data.bad, case.data_problem
    if not problems or case.data_is_harmless or bounds_yield(case):
        return None
    lasting = case.lasting(signature)
    reasons = tuple(problem.summary for problem in problems)
    if lasting >= case.policy.retraining.data_problem_windows:
        reasons += (
            f"this has lasted {lasting} windows: fix the source, or accept the change in the spec's expectations",
        )
    return Finding(rule="bad_data", verdict="quarantine", reasons=reasons, signature=signature)


def yielding_bounds(case: Case) -> Finding | None:
    """The data is beyond bounds that everfit inferred, and measured quality says more than these do."""
    if not bounds_yield(case) or case.data_is_harmless:
        return None
    why = "everfit inferred this bound and nobody accepted it, so measured quality decides"
    reasons = (
        *(f"{problem.summary}; {why}" for problem in case.signals.data.bad),
        *(() if case.realised is None else (case.realised.summary,)),
    )
    return Finding(rule="yielding_bounds", verdict="watch", reasons=reasons, signature=case.data_problem)


def unknown_data(case: Case) -> Finding | None:
    """The data could not be checked, so no model may learn from it."""
    if case.signals.data.status != "failed":
        return None
    reason = f"the data could not be checked: {case.signals.data.reason or 'the reason is unknown'}"
    return Finding(rule="unknown_data", verdict="escalate", reasons=(reason,), signature=sign("failed", "data"))


def silent_feed(case: Case) -> Finding | None:
    """No rows came, and that is improbable by their rhythm by hour and weekday.

    While the rhythm is not known: many were expected, and the model was never so long without a request.
    """
    data = case.signals.data
    if _is_silent(case) and data.rhythm_weeks is not None:
        return _gap_finding("silent_feed", case)
    if not _is_silent(case) or data.asked is False or (data.expected_rows or 0.0) < _SURELY_SOME:
        return None
    if data.quiet is not None and data.usual_quiet is not None and data.quiet <= _PATIENCE * data.usual_quiet:
        return None
    reason = f"no rows came; about {data.expected_rows:,.0f} were expected"
    if data.quiet is not None and data.usual_quiet is not None:
        usual, quiet = format_duration(data.usual_quiet), format_duration(data.quiet)
        reason += f", and the last came {quiet} ago, where pauses of {usual} were usual"
    return Finding(rule="silent_feed", verdict="escalate", reasons=(reason,), signature=sign("silent"))


def missing_rows(case: Case) -> Finding | None:
    """Rows came, and in some hours far fewer than expected by their rhythm, such as half a Monday.

    Rows that did not come spoil none of those that came, so a retraining doesn't wait for them.
    """
    return None if _is_silent(case) else _gap_finding("missing_rows", case)


def _gap_finding(rule: str, case: Case) -> Finding | None:
    gaps = case.signals.data.gaps
    if not gaps:
        return None
    days = sorted({(gap.column or "")[:10] for gap in gaps})  # a new gap is a new problem, a lasting one is not
    reasons = tuple(gap.summary for gap in gaps[:3])
    missing = sum(1.0 if gap.share is None else gap.share for gap in gaps)
    verdict: Verdict = "escalate" if rule == "silent_feed" or missing >= _SMALL_GAPS else "watch"
    return Finding(rule=rule, verdict=verdict, reasons=reasons, signature=sign("silent", days[-1:]))


def unused(case: Case) -> Finding | None:
    """The model was released, and nothing asks it yet: worth knowing, and no fault."""
    if not _is_silent(case) or case.signals.data.asked is not False:
        return None
    reason = (
        "nothing has asked the model yet, so there is nothing to watch: run `everfit score`, switch the schedule of "
        "the deployment `scoring` on, or send rows to the prediction service"
    )
    return Finding(rule="unused", verdict="watch", reasons=(reason,), signature=sign("unused"))


def _is_silent(case: Case) -> bool:
    return not case.signals.data.rows and case.signals.data.status in {"measured", "not_enough"}
