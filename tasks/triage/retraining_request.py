"""A rule's request to retrain: granted, or blocked with the reason. Pure."""

from collections.abc import Sequence
from itertools import takewhile

from everfit.tasks.core.records import TriggerKind
from everfit.tasks.triage.cadence import growth, next_try
from everfit.tasks.triage.case import Case, Finding, cost_summary
from everfit.tasks.triage.failure_backoff import failure_streak
from everfit.tasks.triage.history import PastTurn
from everfit.tasks.triage.quality_loss import LossEvidence
from everfit.tasks.triage.verdicts import VERDICTS, Verdict


def request_retraining(
    rule: str,
    kind: TriggerKind,
    case: Case,
    reasons: Sequence[str],
    *,
    signature: str,
    loss: LossEvidence | None = None,
    attempts: tuple[PastTurn, ...] | None = None,
) -> Finding:
    """Request a retraining, unless earlier ones did not help, there is nothing to learn, or it does not pay off.

    Args:
        rule: The rule that requests it.
        kind: The kind of the trigger.
        case: The evidence.
        reasons: The rule's reasons.
        signature: Names the problem.
        loss: The loss that retraining should win back.
        attempts: Earlier attempts; by default those in the history that did not help.
    """
    policy, reasons = case.policy.retraining, tuple(reasons)

    def blocked(by: str, verdict: Verdict, *more: str) -> Finding:
        return Finding(
            rule=by, verdict=verdict, reasons=(*reasons, *more), signature=signature, kind=kind, blocked=True
        )

    if policy.on == "nothing" and kind in {"quality", "drift"}:
        return blocked(rule, "escalate", "the spec forbids an automatic retraining (retraining.on: nothing)")
    labels = case.signals.labels
    if labels.measured and labels.new_rows == 0:
        return blocked(
            "nothing_to_learn",
            "escalate",
            "no row has got a mature label since the last turn, so there is nothing to learn from",
        )
    tried = case.attempts(signature, loss) if attempts is None else attempts
    if tried:
        verdict: Verdict = "escalate" if len(tried) >= policy.escalate_after and attempts is None else "watch"
        by = "retraining_in_vain" if verdict == "escalate" else "backing_off"
        if policy.max_attempts is not None and len(tried) >= policy.max_attempts:
            return blocked(by, verdict, _attempts_summary(tried), "there is no further automatic attempt")
        if wait := _wait(tried, case):
            return blocked(by, verdict, _attempts_summary(tried), wait)
    if kind in {"quality", "drift"} and case.gain is not None and case.cost is not None and case.gain < case.cost:
        unit = policy.cost_benefit.unit if policy.cost_benefit else ""
        return blocked("not_worth_it", "watch", cost_summary(unit, case.cost, case.gain))
    return Finding(rule=rule, verdict="retrain", reasons=reasons, signature=signature, kind=kind)


def _wait(tried: Sequence[PastTurn], case: Case) -> str:
    """Return what the next attempt waits for; empty if it may start.

    It waits until the rows since the loss began have grown by the factor. Where their number is not known, such as for
    another problem or in a history that an earlier everfit wrote, or where the spec sets `back_off`, it waits for a
    time.
    """
    policy, labels, last = case.policy.retraining, case.signals.labels, tried[-1]
    rows = labels.unseen_rows if labels.measured else None
    if policy.back_off is None and rows is not None:
        if last.outcome == "promoted":  # its champion has seen the earlier rows
            fresh = next_try(labels, None, least=case.policy.gate, window=case.policy.monitoring.window, policy=policy)
            return "" if fresh is None or fresh.due else f"the next attempt is from {fresh.needed:,} new rows on"
        before = _rows_before(tried)
        if before is not None and last.unseen_rows is not None and last.unseen_rows > before:
            then, now = last.unseen_rows - before, rows - before
            needed = round(growth(last, policy) * then)
            counts = f"the last attempt had {then:,} rows since the loss began, and there are {now:,} now"
            return "" if now >= needed else f"{counts}; the next attempt is at {needed:,}"
    base = policy.back_off or case.policy.monitoring.window
    again = last.until + base * policy.back_off_factor ** (len(tried) - 1)
    return "" if case.signals.window.until >= again else f"the next attempt is at {again:%Y-%m-%d %H:%M}"


def _rows_before(tried: Sequence[PastTurn]) -> int | None:
    """Return the rows that the champion had not seen when the loss began; None if that is not known."""
    same = list(takewhile(lambda turn: turn.outcome != "promoted", reversed(tried)))
    if not same or same[-1].unseen_rows is None or not same[-1].loss_rows:
        return None
    return max(0, same[-1].unseen_rows - same[-1].loss_rows)


def hold_up(finding: Finding, case: Case) -> Finding:
    """Block a finding that requests a turn while turns fail, and add why."""
    streak = failure_streak(case.history.turns, case.policy.retraining)
    if not VERDICTS[finding.verdict].calls_turn or streak is None or case.signals.window.until >= streak.again:
        return finding
    changes = {"rule": "failing_turns", "verdict": "escalate" if streak.too_many else "watch", "blocked": True}
    return finding.model_copy(update={**changes, "reasons": (*finding.reasons, streak.summary)})


def _attempts_summary(tried: Sequence[PastTurn]) -> str:
    listed = ", ".join(f"{turn.turn_id} ({turn.outcome.replace('_', ' ')})" for turn in tried)
    times = "once" if len(tried) == 1 else f"{len(tried)} times"
    return f"retraining was tried {times} and did not help enough: {listed}"
