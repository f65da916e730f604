"""Triage: from monitoring signals to one verdict, with the rule that fired and reasons in words.

Pure: the same signals, history and policy give the same decision, wherever and whenever. The order of `RULES` is the
order of precedence: bad data before lost quality, lost quality before drift, drift before all other reasons to retrain,
and `healthy` only when everything was looked at and nothing found.
"""

from collections.abc import Callable

from pydantic import Field, FiniteFloat

from everfit.tasks.core.metric_scale import facts_of
from everfit.tasks.core.records import Record, Trigger, TriggerKind, Window
from everfit.tasks.triage import rules
from everfit.tasks.triage.case import Case, Finding, TriagePolicy, Verdict, hold_up
from everfit.tasks.triage.history import History, PastWindow
from everfit.tasks.triage.quality_loss import LossEvidence, remember
from everfit.tasks.triage.signals import Baseline, Signals

RULES: tuple[Callable[[Case], Finding | None], ...] = (
    rules.bad_data,
    rules.unknown_data,
    rules.silent_feed,
    rules.bad_release,
    rules.realised_loss_rule,
    rules.unrecovered_loss_rule,
    rules.estimated_loss_rule,
    rules.missing_labels,
    rules.drift_retraining,
    rules.dissatisfaction,
    rules.changed_code,
    rules.enough_new_data,
    rules.due_by_schedule,
    rules.failed_evidence,
    rules.persistent_drift,
    rules.uncertain,
    rules.unmeasured,
    rules.healthy,
)


class TriageDecision(Record):
    """What is to be done about a window, and why."""

    id: str = Field(description="Digest of signals, history and policy: the same evidence gives the same id.")
    model: str
    window: Window
    reference: str = Field(description="Id of the champion's reference.")
    verdict: Verdict
    rule: str = Field(description="The rule that fired.")
    reasons: tuple[str, ...]
    signature: str = Field(description="Names what is wrong, the same in every window.")
    kind: TriggerKind | None = Field(default=None, description="Of the retraining that is or would be called for.")
    notify: bool = Field(description="Whether somebody is to be told: the first time, and again when it lasts.")
    loss: LossEvidence | None = Field(default=None, description="By mature labels.")
    estimated_loss: LossEvidence | None = None
    level: Baseline | None = Field(default=None, description="The quality that a retraining is to win back.")
    expected_gain: FiniteFloat | None = Field(default=None, description="Of a turn, in the spec's unit of value.")
    cost: FiniteFloat | None = Field(default=None, description="Of a turn, in the same unit.")
    remembered: PastWindow = Field(description="What later decisions need to know of this window.")

    def trigger(self) -> Trigger:
        """The trigger of the turn that this decision calls for."""
        return Trigger(kind=self.kind or "manual", reason=self.reasons[0], id=self.id)


def triage(signals: Signals, history: History, policy: TriagePolicy) -> TriageDecision:
    """Decide what is to be done about a window.

    Args:
        signals: What was measured in it.
        history: Earlier windows and turns of the model; what lies at or after the window's end is left out, so that
            a decision made again is the same decision.
        policy: The parts of the spec that matter here.

    Returns:
        The decision. Its reasons begin with those of the rule that fired; what other rules found follows.
    """
    case = Case(signals=signals, history=history.before(signals.window.until), policy=policy)
    found = [hold_up(finding, case) for rule in RULES if (finding := rule(case)) is not None]
    chosen = _choose(found)
    reasons = list(chosen.reasons)
    if chosen.rule != "healthy":
        known = set(reasons)
        others = [(each.rule, reason) for each in found if each.rule != "healthy" for reason in each.reasons]
        for rule, reason in others:
            if reason not in known:
                known.add(reason)
                reasons.append(f"also {rule}: {reason}")
    remembered = PastWindow(
        window=signals.window,
        reference=signals.reference.id,
        verdict=chosen.verdict,
        rule=chosen.rule,
        signature=chosen.signature,
        drifted=signals.drift.drifted if signals.drift.measured else None,
        quality=remember(signals.quality),
    )
    return TriageDecision(
        id=case.digest(),
        model=signals.model,
        window=signals.window,
        reference=signals.reference.id,
        verdict=chosen.verdict,
        rule=chosen.rule,
        reasons=tuple(reasons),
        signature=chosen.signature,
        kind=chosen.kind,
        notify=_notify(case, chosen),
        loss=case.realised,
        estimated_loss=case.estimated,
        level=_level(case, chosen),
        expected_gain=case.gain,
        cost=case.cost,
        remembered=remembered,
    )


def _choose(found: list[Finding]) -> Finding:
    """The first finding; where it may not retrain, the first that may, or that asks a person."""
    first = found[0]
    if not first.blocked:
        return first
    return next(
        (each for verdict in ("retrain", "escalate") for each in found if each.verdict == verdict),
        first,
    )


def _level(case: Case, chosen: Finding) -> Baseline | None:
    """What is to be won back: what the first champion had that lost it, not what later ones made do with."""
    if chosen.kind != "quality":
        return None
    own = case.signals.quality.baseline
    if case.level is None or own is None or (case.unrecovered is not None and not case.unrecovered.lost):
        return own
    greater = facts_of(case.signals.quality.metric, own.scale).greater_is_better
    return max((case.level, own), key=lambda each: each.value if greater else -each.value)


def _notify(case: Case, chosen: Finding) -> bool:
    """Tell once, and once more when a data problem lasts; a person who is told every hour stops reading."""
    if chosen.verdict not in {"quarantine", "roll_back", "escalate"}:
        return False
    past = case.history.windows
    again = bool(past) and (past[-1].verdict, past[-1].signature) == (chosen.verdict, chosen.signature)
    long = case.policy.retraining.data_problem_windows
    lasts = case.lasting(chosen.signature) >= long > case.lasted(chosen.signature)
    return not again or (chosen.verdict == "quarantine" and lasts)
