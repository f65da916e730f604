"""The rules of triage, in their order: each maps the evidence to a finding, or to None.

The order of `RULES` is the order of precedence: bad data before lost quality, lost quality before drift, drift before
all other reasons to retrain. `healthy` comes last, when every essential area was measured and no rule applies.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

from everfit.blocks.policy import format_duration
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.case import Case, Finding, sign
from everfit.tasks.triage.data_rules import bad_data, missing_rows, silent_feed, unknown_data, unused, yielding_bounds
from everfit.tasks.triage.limit_rules import broken_limit, broken_limit_escalation, broken_limit_retraining
from everfit.tasks.triage.loss_rules import (
    bad_release,
    estimated_loss_rule,
    missing_labels,
    realised_loss_rule,
    unrecovered_loss_rule,
)
from everfit.tasks.triage.quality_loss import early_loss
from everfit.tasks.triage.retraining_request import request_retraining
from everfit.tasks.triage.user_signals import OwnSignal, SignalAction


def drift_retraining(case: Case) -> Finding | None:
    """Drift persists, and the spec asks to retrain on drift alone."""
    if case.policy.retraining.on != "drift" or not case.drift_persists:
        return None
    return request_retraining("drift_retraining", "drift", case, _drift_summary(case), signature=sign("drift"))


def user_metric(case: Case) -> Finding | None:
    """A metric of the users is out of its bounds."""
    values = {area.metric: area.value for area in case.signals.user_metrics if area.measured}
    reasons, broken = [], []
    for policy in case.policy.retraining.user_metrics:
        value = values.get(policy.metric)
        if value is None:
            continue
        if policy.at_least is not None and value < policy.at_least:
            reasons.append(f"{policy.metric} is {value:.4g}, below {policy.at_least:.4g}")
        elif policy.at_most is not None and value > policy.at_most:
            reasons.append(f"{policy.metric} is {value:.4g}, above {policy.at_most:.4g}")
        else:
            continue
        broken.append(policy.metric)
    if not reasons:
        return None
    return request_retraining(
        "user_metric", "user_metric", case, reasons, signature=sign("satisfaction", sorted(broken))
    )


def signal_retraining(case: Case) -> Finding | None:
    """A signal of the user is not ok, and its spec asks to retrain."""
    problems = _signal_problems(case, "retrain")
    if not problems:
        return None
    signature = sign("signal", sorted(signal.signal for signal in problems))
    reasons = [signal.problem for signal in problems]
    return request_retraining("signal_retraining", "signal", case, reasons, signature=signature)


def changed_code(case: Case) -> Finding | None:
    """Spec or packages have changed since the champion was trained; each change starts one turn."""
    code = case.signals.code
    signature = sign("code", code.state)
    done = any(turn.signature == signature and not turn.has_failed for turn in case.history.turns)
    if not case.policy.retraining.code or not code.measured or not code.changed or done:
        return None
    return Finding(rule="changed_code", verdict="retrain", reasons=code.changed, signature=signature, kind="code")


def enough_new_data(case: Case) -> Finding | None:
    """Enough rows have got mature labels since the last turn to retrain."""
    bounds, labels = case.policy.retraining.new_data, case.signals.labels
    if bounds is None or not labels.measured:
        return None
    trained_on = case.signals.reference.training_rows
    by_share = None if bounds.share is None or not trained_on else bounds.share * trained_on
    needed = min((bound for bound in (bounds.rows, by_share) if bound is not None), default=None)
    if needed is None or labels.new_rows < needed:
        return None
    reason = f"{labels.new_rows:,} rows got mature labels since the last turn; {needed:,.0f} are enough to retrain"
    return Finding(
        rule="enough_new_data", verdict="retrain", reasons=(reason,), signature=sign("new_data"), kind="new_data"
    )


def enough_new_rows(case: Case) -> Finding | None:
    """There are enough rows that the champion has not seen to try whether a model fitted now is better."""
    cadence = case.cadence
    if cadence is None or not cadence.due or any(turn.in_flight for turn in case.history.turns):
        return None
    return Finding(
        rule="enough_new_rows",
        verdict="retrain",
        reasons=(cadence.summary,),
        signature=sign("new_rows"),
        kind="new_data",
    )


def more_evidence(case: Case) -> Finding | None:
    """There are enough more rows to judge the challenger that waits for evidence; nothing is trained for this."""
    waiting = case.waiting
    if waiting is None or not waiting.due or any(turn.in_flight for turn in case.history.turns):
        return None
    signature = sign("waiting", waiting.version)
    return Finding(
        rule="more_evidence", verdict="judge", reasons=(waiting.summary,), signature=signature, kind="waiting"
    )


def due_by_schedule(case: Case) -> Finding | None:
    """The last turn is a full period ago."""
    period, reference = case.policy.retraining.schedule, case.signals.reference
    ends = [turn.until for turn in case.history.turns if not turn.has_failed]
    last = max([reference.trained_until, *ends])
    if period is None or case.signals.window.until - last < period:
        return None
    reason = f"the last turn was at {last:%Y-%m-%d %H:%M}; the schedule asks for one every {format_duration(period)}"
    return Finding(
        rule="due_by_schedule", verdict="retrain", reasons=(reason,), signature=sign("schedule"), kind="schedule"
    )


def failed_evidence(case: Case) -> Finding | None:
    """A measurement broke, so a person must look."""
    failed = [area for area in case.signals.areas() if area.status == "failed"]
    if not failed:
        return None
    reasons = tuple(f"{area.title} could not be measured: {area.reason or 'the reason is unknown'}" for area in failed)
    signature = sign("failed", sorted(area.title for area in failed))
    return Finding(rule="failed_evidence", verdict="escalate", reasons=reasons, signature=signature)


def signal_escalation(case: Case) -> Finding | None:
    """A signal of the user is not ok, and its spec asks to notify a person."""
    problems = _signal_problems(case, "escalate")
    if not problems:
        return None
    signature = sign("signal", sorted(signal.signal for signal in problems))
    reasons = tuple(signal.problem for signal in problems)
    return Finding(rule="signal_escalation", verdict="escalate", reasons=reasons, signature=signature)


def persistent_drift(case: Case) -> Finding | None:
    """Inputs or predictions have drifted but quality has not: worth watching, no reason to retrain."""
    if not case.drift_persists or not case.drift_is_news:
        return None
    return Finding(rule="persistent_drift", verdict="watch", reasons=_drift_summary(case), signature=sign("drift"))


def harmless_change(case: Case) -> Finding | None:
    """The data has changed and quality on such rows has not: worth watching, and no reason to refuse the rows."""
    if not case.data_is_harmless:
        return None
    quality = case.realised.summary if case.realised is not None else "quality was measured on such rows before"
    reasons = (
        *(f"{problem.summary}; this is harmless" for problem in case.signals.data.bad),
        quality,
        "to accept the change, run `everfit expectations MODEL --write`",
    )
    return Finding(rule="harmless_change", verdict="watch", reasons=reasons, signature=case.data_problem)


def uncertain(case: Case) -> Finding | None:
    """Something is unusual, but not enough or not surely enough to act on."""
    signals, loss, estimated = case.signals, case.realised, case.estimated
    reasons = [concern for area in signals.areas() for concern in area.concerns]
    if case.drift_is_news:
        reasons += _drift_summary(case)
    if loss is not None and not loss.lost and loss.loss > loss.bound:
        reasons.append(f"{loss.summary}; this is not certain yet")
    if estimated is not None and estimated.lost and estimated_loss_rule(case) is None:
        trust = f"trust in the estimate is only {signals.estimate.trust:.2f}"
        reasons.append(f"{estimated.summary}; no action, because {trust}")
    # Right after a release no answer of the champion is mature, and early labels are the first to tell.
    baseline = signals.quality.baseline or signals.estimate.baseline
    early = early_loss(signals.early, baseline, case.policy.monitoring)
    if early is not None:
        reasons.append(
            f"early labels show a loss of {early:.4g}: {signals.early.details}; no action before more labels are known"
        )
    reasons += _value_summary(case)
    if not reasons:
        return None
    return Finding(rule="uncertain", verdict="watch", reasons=tuple(reasons), signature=sign("uncertain"))


def unmeasured(case: Case) -> Finding | None:
    """An essential area was not measured, so the window does not count as healthy."""
    unknown = [area for area in case.signals.areas() if _is_essential(area, case) and not area.measured]
    if not unknown:
        return None
    reasons = tuple(
        f"{area.title} could not be measured: {area.reason or area.status.replace('_', ' ')}" for area in unknown
    )
    signature = sign("unmeasured", sorted(area.title for area in unknown))
    return Finding(rule="unmeasured", verdict="watch", reasons=reasons, signature=signature)


def healthy(case: Case) -> Finding:
    """Every essential area was measured, and no rule applies."""
    quality = case.realised.summary if case.realised is not None else "quality is within its bound"
    drift = "inputs and predictions have not drifted"
    if case.signals.drift.is_known:
        seasonal = case.signals.drift.seasonal
        persisting = [name for name in case.signals.drift.columns if name not in seasonal]
        known = [("as in earlier windows", persisting), ("as a year before", seasonal)]
        drift = "; ".join(["no drift is new", *(f"{when}: {', '.join(names[:8])}" for when, names in known if names)])
    reasons = ("the data is good", drift, quality)
    return Finding(rule="healthy", verdict="healthy", reasons=reasons, signature=sign("healthy"))


RULES: tuple[Callable[[Case], Finding | None], ...] = (
    bad_data,
    unknown_data,
    silent_feed,
    bad_release,
    realised_loss_rule,
    unrecovered_loss_rule,
    estimated_loss_rule,
    missing_labels,
    drift_retraining,
    user_metric,
    signal_retraining,
    broken_limit_retraining,
    changed_code,
    enough_new_data,
    due_by_schedule,
    failed_evidence,
    signal_escalation,
    broken_limit_escalation,
    enough_new_rows,
    more_evidence,
    missing_rows,
    broken_limit,
    harmless_change,
    yielding_bounds,
    persistent_drift,
    unused,
    uncertain,
    unmeasured,
    healthy,
)
"""In order of precedence."""


def _is_essential(area: Area, case: Case) -> bool:
    """Return whether a healthy window needs an area; changes of code only if the spec asks for them."""
    return area.essential or (area is case.signals.code and case.policy.retraining.code)


def _signal_problems(case: Case, action: SignalAction) -> list[OwnSignal]:
    return [signal for signal in case.signals.own if signal.problem and signal.action == action]


def _value_summary(case: Case) -> list[str]:
    """Return how far the business value of a row is below the hold-out's, if that is certain and beyond the bound."""
    quality, rules = case.signals.quality, case.policy.monitoring
    now, before = quality.value_per_row, quality.baseline_value_per_row
    if now is None or before is None or quality.value_error is None or quality.baseline_value_error is None:
        return []
    error = math.hypot(quality.value_error, quality.baseline_value_error)
    is_certain = before - now > NormalDist().inv_cdf(rules.confidence) * error
    if not is_certain or before - now <= rules.max_loss * abs(before):
        return []
    value = f"a row is worth {now:.4g} {quality.value_unit}".rstrip()
    return [f"{value}, compared with {before:.4g} on the hold-out"]


def _drift_summary(case: Case) -> tuple[str, ...]:
    drift, (drifted, compared) = case.signals.drift, case.drifts
    columns = ", ".join(drift.columns[:8]) + (f" and {len(drift.columns) - 8} more" if len(drift.columns) > 8 else "")
    new = f" (new: {', '.join(drift.new[:8])})" if drift.new and drift.new != drift.columns else ""
    new += f" (as a year before: {', '.join(drift.seasonal[:8])})" if drift.seasonal else ""
    windows = "this window" if compared == 1 else f"{drifted} of the last {compared} windows"
    return (
        f"drift in {windows}" + (f": {columns}{new}" if columns else ""),
        *drift.beside,
    )
