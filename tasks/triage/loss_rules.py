"""The rules of triage about lost quality; `everfit.tasks.triage.rules` has all rules in their order."""

from statistics import NormalDist

from everfit.tasks.triage.case import Case, Finding, sign
from everfit.tasks.triage.retraining_request import request_retraining


def bad_release(case: Case) -> Finding | None:
    """Quality was lost right after a release, and the previous champion is better on the same rows."""
    reference, previous, window = case.signals.reference, case.signals.previous, case.signals.quality.window
    loss, rules = case.realised, case.policy
    if reference.previous_version is None or window is None or loss is None or not previous.measured:
        return None
    if previous.gain is None or previous.p_value is None:
        return None
    # Only the newest part counts of a window that is longer than the spec's, such as after a pause.
    since = max(window.since or reference.released, window.until - rules.monitoring.window)
    is_young = since < reference.released + rules.rollback_within and window.until > reference.released
    # Only a few windows after a release are tested, and the comparison is paired: the ordinary confidence, divided by
    # the number of those windows, is enough.
    windows = max(1.0, rules.rollback_within / rules.monitoring.window)
    alpha = (1 - rules.monitoring.confidence) / windows
    if not is_young or previous.gain <= 0 or previous.p_value > alpha:
        return None
    if loss.loss <= loss.bound or loss.z <= NormalDist().inv_cdf(rules.monitoring.confidence):
        return None
    return Finding(
        rule="bad_release",
        verdict="roll_back",
        reasons=(
            loss.summary,
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
    reasons = [loss.summary, *case.signals.diagnosis.reasons]
    quality = case.signals.quality
    if quality.chance is not None and (loss.value <= quality.chance) == (loss.expected > quality.chance):
        reasons.append(f"that is no better than the best constant answer ({quality.chance:.4g})")
    return request_retraining("realised_loss", "quality", case, reasons, signature=sign("loss", loss.metric), loss=loss)


def unrecovered_loss_rule(case: Case) -> Finding | None:
    """Retraining has not won back an earlier champion's quality; by now there is more to learn from."""
    loss, level = case.unrecovered, case.level
    if loss is None or level is None or not loss.lost:
        return None
    signature = sign("loss", loss.metric)
    tried = case.attempts_at_level
    reasons = [
        f"an earlier champion reached {level.value:.4g} on its hold-out; {loss.summary}",
        *case.signals.diagnosis.reasons,
    ]
    return request_retraining(
        "unrecovered_loss", "quality", case, reasons, signature=signature, loss=loss, attempts=tried
    )


def estimated_loss_rule(case: Case) -> Finding | None:
    """Quality is lost by estimate, and there are no mature labels to tell."""
    loss, estimate = case.estimated, case.signals.estimate
    if loss is None or not loss.lost or case.realised is not None:
        return None
    if estimate.trust < case.policy.retraining.min_trust:
        return None
    reasons = [loss.summary, f"there are no mature labels yet; trust in the estimate is {estimate.trust:.2f}"]
    signature = sign("estimated_loss", loss.metric)
    return request_retraining("estimated_loss", "quality", case, reasons, signature=signature, loss=loss)


def missing_labels(case: Case) -> Finding | None:
    """Labels have stopped coming, so quality is unknown and there is nothing to learn from."""
    quality = case.signals.quality
    if not quality.lacks_labels:
        return None
    reason = f"only {quality.coverage:.1%} of the mature rows have a label; usually {quality.usual_coverage:.1%} do"
    return Finding(rule="missing_labels", verdict="escalate", reasons=(reason,), signature=sign("missing_labels"))
