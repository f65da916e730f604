"""The rules of triage, one small function each: evidence in, a finding or nothing out."""

import math
from statistics import NormalDist

from everfit.blocks.policy import format_duration
from everfit.tasks.triage.case import Case, Finding, call, sign
from everfit.tasks.triage.signals import Area, Signals


def bad_data(case: Case) -> Finding | None:
    """The data is broken: nothing is learned from it."""
    problems = case.signals.data.bad
    if not problems:
        return None
    signature = sign("data", sorted((each.kind, each.column or "") for each in problems))
    lasting = case.lasting(signature)
    reasons = tuple(each.words for each in problems)
    if lasting >= case.policy.retraining.data_problem_windows:
        reasons += (f"for {lasting} windows now: mend the source, or accept the change in the spec's expectations",)
    return Finding(rule="bad_data", verdict="quarantine", reasons=reasons, signature=signature)


def unknown_data(case: Case) -> Finding | None:
    """Whether the data is good couldn't be found out, so nothing may be learned from it."""
    if case.signals.data.status != "failed":
        return None
    reason = f"the data could not be checked: {case.signals.data.reason or 'no reason was given'}"
    return Finding(rule="unknown_data", verdict="escalate", reasons=(reason,), signature=sign("failed", "data"))


def silent_feed(case: Case) -> Finding | None:
    """Nothing came, where something was to be expected."""
    data = case.signals.data
    if data.rows or data.status not in {"measured", "not_enough"} or not data.expected_rows:
        return None
    reason = f"no rows came, about {data.expected_rows:,.0f} were expected"
    return Finding(rule="silent_feed", verdict="escalate", reasons=(reason,), signature=sign("silent"))


def bad_release(case: Case) -> Finding | None:
    """Quality was lost right after a release, and the champion before it is better on the same rows."""
    reference, previous, window = case.signals.reference, case.signals.previous, case.signals.quality.window
    loss, rules = case.realised, case.policy
    if reference.previous_version is None or window is None or loss is None or not previous.measured:
        return None
    if previous.gain is None or previous.p_value is None:
        return None
    since = window.since or reference.released
    baking = since < reference.released + rules.rollback_within and window.until > reference.released
    # A release is looked at in the few windows of its bake time only, and the comparison is paired: ordinary
    # confidence, divided by those windows, is enough.
    looks = max(1.0, rules.rollback_within / rules.monitoring.window)
    alpha = (1 - rules.monitoring.confidence) / looks
    if not baking or previous.gain <= 0 or previous.p_value > alpha:
        return None
    if loss.loss <= loss.bound or loss.z <= NormalDist().inv_cdf(rules.monitoring.confidence):
        return None
    return Finding(
        rule="bad_release",
        verdict="roll_back",
        reasons=(
            loss.words,
            f"version {reference.version} was released at {reference.released:%Y-%m-%d %H:%M}",
            f"version {reference.previous_version} is {previous.gain:.4g} better (p {previous.p_value:.2g}, same rows)",
        ),
        signature=sign("bad_release", reference.version),
    )


def realised_loss_rule(case: Case) -> Finding | None:
    """Quality on mature labels is lost beyond the bound, with confidence."""
    loss = case.realised
    if loss is None or not loss.lost:
        return None
    reasons = [loss.words]
    quality = case.signals.quality
    if quality.chance is not None and (loss.value <= quality.chance) == (loss.expected > quality.chance):
        reasons.append(f"that is no better than the best constant answer ({quality.chance:.4g})")
    return call("realised_loss", "quality", case, reasons, signature=sign("loss", loss.metric), loss=loss)


def unrecovered_loss_rule(case: Case) -> Finding | None:
    """Retraining has not won back what an earlier champion had; as more is seen, there is more to learn."""
    loss, level = case.unrecovered, case.level
    if loss is None or level is None or not loss.lost:
        return None
    signature = sign("loss", loss.metric)
    tried = case.attempts_at_level
    reasons = [f"an earlier champion reached {level.value:.4g} on its hold-out; {loss.words}"]
    return call("unrecovered_loss", "quality", case, reasons, signature=signature, loss=loss, attempts=tried)


def estimated_loss_rule(case: Case) -> Finding | None:
    """Quality is lost by estimate, where no labels have come that would say."""
    loss, estimate = case.estimated, case.signals.estimate
    if loss is None or not loss.lost or case.realised is not None:
        return None
    if estimate.trust < case.policy.retraining.min_trust:
        return None
    reasons = [loss.words, f"no mature labels say otherwise; trust in the estimate is {estimate.trust:.2f}"]
    signature = sign("estimated_loss", loss.metric)
    return call("estimated_loss", "quality", case, reasons, signature=signature, loss=loss)


def missing_labels(case: Case) -> Finding | None:
    """Labels stopped coming: quality can't be known, and there is nothing to learn from."""
    quality = case.signals.quality
    if not quality.lacks_labels:
        return None
    reason = f"{quality.coverage:.1%} of the mature rows have a label; {quality.usual_coverage:.1%} is usual"
    return Finding(rule="missing_labels", verdict="escalate", reasons=(reason,), signature=sign("missing_labels"))


def drift_retraining(case: Case) -> Finding | None:
    """Drift persists, and the spec wants a retraining for that alone."""
    if case.policy.retraining.on != "drift" or not case.drift_persists:
        return None
    return call("drift_retraining", "drift", case, _drift_words(case), signature=sign("drift"))


def dissatisfaction(case: Case) -> Finding | None:
    """A figure of the users' own is out of its bounds."""
    values = {each.metric: each.value for each in case.signals.satisfaction if each.measured}
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
    return call("dissatisfaction", "satisfaction", case, reasons, signature=sign("satisfaction", sorted(broken)))


def changed_code(case: Case) -> Finding | None:
    """Spec or packages have changed since the champion was trained; each change gives one turn."""
    code = case.signals.code
    signature = sign("code", code.state)
    done = any(turn.signature == signature and not turn.broke_off for turn in case.history.turns)
    if not case.policy.retraining.code or not code.measured or not code.changed or done:
        return None
    return Finding(rule="changed_code", verdict="retrain", reasons=code.changed, signature=signature, kind="code")


def enough_new_data(case: Case) -> Finding | None:
    """So much has matured since the last turn that the spec wants to learn from it."""
    bounds, labels = case.policy.retraining.new_data, case.signals.labels
    if bounds is None or not labels.measured:
        return None
    trained_on = case.signals.reference.training_rows
    by_share = None if bounds.share is None or not trained_on else bounds.share * trained_on
    wanted = min((each for each in (bounds.rows, by_share) if each is not None), default=None)
    if wanted is None or labels.new_rows < wanted:
        return None
    reason = f"{labels.new_rows:,} rows have matured since the last turn; {wanted:,.0f} call for one"
    return Finding(
        rule="enough_new_data", verdict="retrain", reasons=(reason,), signature=sign("new_data"), kind="new_data"
    )


def due_by_schedule(case: Case) -> Finding | None:
    """The last turn is a whole period ago."""
    period, reference = case.policy.retraining.schedule, case.signals.reference
    ends = [turn.until for turn in case.history.turns if not turn.broke_off]
    last = max([reference.trained_until, *ends])
    if period is None or case.signals.window.until - last < period:
        return None
    reason = f"the last turn was at {last:%Y-%m-%d %H:%M}; the schedule's period is {format_duration(period)}"
    return Finding(
        rule="due_by_schedule", verdict="retrain", reasons=(reason,), signature=sign("schedule"), kind="schedule"
    )


def failed_evidence(case: Case) -> Finding | None:
    """Something broke while looking, so nobody knows."""
    failed = {name: area for name, area in _areas(case.signals).items() if area.status == "failed"}
    if not failed:
        return None
    reasons = tuple(f"{name} could not be measured: {area.reason or 'no reason'}" for name, area in failed.items())
    signature = sign("failed", sorted(failed))
    return Finding(rule="failed_evidence", verdict="escalate", reasons=reasons, signature=signature)


def persistent_drift(case: Case) -> Finding | None:
    """Inputs or predictions have moved, and quality hasn't: worth knowing, no reason to retrain."""
    if not case.drift_persists:
        return None
    return Finding(rule="persistent_drift", verdict="watch", reasons=_drift_words(case), signature=sign("drift"))


def uncertain(case: Case) -> Finding | None:
    """Something is off, but not enough or not surely enough to act on."""
    signals, loss, estimated = case.signals, case.realised, case.estimated
    reasons = [each.words for each in signals.data.suspicious]
    if signals.drift.drifted:
        reasons += _drift_words(case)
    if loss is not None and not loss.lost and loss.loss > loss.bound:
        reasons.append(f"{loss.words}; not sure yet")
    if estimated is not None and estimated.lost and estimated_loss_rule(case) is None:
        reasons.append(f"{estimated.words}; not acted on, trust in the estimate is {signals.estimate.trust:.2f}")
    if signals.quality.biased:
        reasons.append(signals.quality.reason or "labelled rows differ from unlabelled ones, so quality isn't judged")
    reasons += [f"quality is lost in the slice {each}" for each in signals.quality.lost_slices]
    reasons += _value_words(case)
    reasons += signals.operations.alarms
    if not reasons:
        return None
    return Finding(rule="uncertain", verdict="watch", reasons=tuple(reasons), signature=sign("uncertain"))


def unmeasured(case: Case) -> Finding | None:
    """What wasn't measured is not healthy."""
    needed = _areas(case.signals, needed=True)
    if case.policy.retraining.code:
        needed["code"] = case.signals.code
    unknown = {name: area for name, area in needed.items() if not area.measured}
    if not unknown:
        return None
    reasons = tuple(
        f"{name} could not be measured: {area.reason or area.status.replace('_', ' ')}"
        for name, area in unknown.items()
    )
    return Finding(rule="unmeasured", verdict="watch", reasons=reasons, signature=sign("unmeasured", sorted(unknown)))


def healthy(case: Case) -> Finding:
    """Everything was looked at, and nothing found."""
    words = case.realised.words if case.realised is not None else "quality is within its bound"
    reasons = ("the data is good", "inputs and predictions are where they were", words)
    return Finding(rule="healthy", verdict="healthy", reasons=reasons, signature=sign("healthy"))


def _value_words(case: Case) -> list[str]:
    """What rows are worth less than on the hold-out: surely, and by more than the allowed share."""
    quality, rules = case.signals.quality, case.policy.monitoring
    now, before = quality.value_per_row, quality.baseline_value_per_row
    if now is None or before is None or quality.value_error is None or quality.baseline_value_error is None:
        return []
    error = math.hypot(quality.value_error, quality.baseline_value_error)
    sure = before - now > NormalDist().inv_cdf(rules.confidence) * error
    if not sure or before - now <= rules.max_loss * abs(before):
        return []
    words = f"a row is worth {now:.4g} {quality.value_unit}".rstrip() + f", {before:.4g} on the hold-out"
    return [words]


def _drift_words(case: Case) -> tuple[str, ...]:
    drift, (seen, known) = case.signals.drift, case.drifts
    columns = ", ".join(drift.columns[:8]) + (f" and {len(drift.columns) - 8} more" if len(drift.columns) > 8 else "")
    return (f"drift in {seen} of the last {known} windows" + (f": {columns}" if columns else ""), *drift.beside)


def _areas(signals: Signals, *, needed: bool = False) -> dict[str, Area]:
    areas: dict[str, Area] = {"data": signals.data, "drift": signals.drift, "quality": signals.quality}
    if needed:
        return areas
    others: dict[str, Area] = {
        "estimated quality": signals.estimate,
        "the previous champion": signals.previous,
        "new labels": signals.labels,
        "code": signals.code,
        "operations": signals.operations,
    }
    return areas | others | {each.metric: each for each in signals.satisfaction}
