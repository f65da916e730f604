"""Triage: one verdict from monitoring signals, with the rule that decided and its reasons.

Pure: the same signals, history and policy always give the same decision.
"""

from pydantic import Field, FiniteFloat

from everfit.tasks.core.figures import Figure
from everfit.tasks.core.metric_scale import facts_of
from everfit.tasks.core.records import Record, Trigger, TriggerKind, Window
from everfit.tasks.triage.case import Case, Finding, TriagePolicy
from everfit.tasks.triage.data_rules import bounds_yield
from everfit.tasks.triage.history import History, PastWindow
from everfit.tasks.triage.limit_rules import broken_limits
from everfit.tasks.triage.quality_loss import LossEvidence, remember
from everfit.tasks.triage.quality_signals import Baseline
from everfit.tasks.triage.retraining_request import hold_up
from everfit.tasks.triage.rules import RULES
from everfit.tasks.triage.signals import Signals
from everfit.tasks.triage.turn_sum import turn_figures
from everfit.tasks.triage.verdicts import VERDICTS, Verdict


def _is_empty(value: object) -> bool:
    return not value


class TriageDecision(Record):
    """The decision about a window, with its reasons."""

    id: str = Field(description="Digest of signals, history and policy: the same evidence gives the same id.")
    model: str
    window: Window
    reference: str = Field(description="Id of the champion's reference.")
    verdict: Verdict
    rule: str = Field(description="The rule that decided.")
    reasons: tuple[str, ...]
    signature: str = Field(description="Names the problem, the same in every window.")
    kind: TriggerKind | None = Field(
        default=None, description="Trigger kind of the retraining that is or would be called."
    )
    notify: bool = Field(description="Whether to notify: the first time, and again when a data problem lasts.")
    loss: LossEvidence | None = Field(default=None, description="On mature labels.")
    estimated_loss: LossEvidence | None = None
    level: Baseline | None = Field(default=None, description="The quality that a retraining should win back.")
    expected_gain: FiniteFloat | None = Field(
        default=None, description="The expected gain of a turn, in the spec's unit of value."
    )
    cost: FiniteFloat | None = Field(default=None, description="The cost of a turn, in the same unit.")
    unseen_rows: int | None = Field(
        default=None, description="Rows with mature labels that the champion has not been trained on."
    )
    waiting: str = Field(
        default="", exclude_if=_is_empty, description="The challenger that waits for evidence, and when it is judged."
    )
    next_try: str = Field(default="", description="When a turn is tried next, with the sum behind it.")
    figures: tuple[Figure, ...] = Field(
        default=(), exclude_if=_is_empty, description="The sum by which a turn is or is not called."
    )
    remembered: PastWindow = Field(description="This window as later decisions read it.")

    @property
    def is_called_by_measured_loss(self) -> bool:
        """Whether labels show the loss for which the turn is called; an estimate of quality is no measurement."""
        return self.kind == "quality" and self.rule != "estimated_loss"

    def trigger(self) -> Trigger:
        """Return the trigger of the turn that this decision calls."""
        return Trigger(kind=self.kind or "manual", reason=self.reasons[0], id=self.id)


def triage(signals: Signals, history: History, policy: TriagePolicy) -> TriageDecision:
    """Decide what to do about a window.

    Args:
        signals: The evidence of the window.
        history: Earlier windows and turns of the model. Those at or after the window's end are left out, so that a
            repeated decision is the same decision.
        policy: The parts of the spec that triage reads.

    Returns:
        The decision. The reasons of the rule that decided come first, those of other rules follow.
    """
    case = Case(signals=signals, history=history.before(signals.window.until), policy=policy)
    findings = [hold_up(finding, case) for rule in RULES if (finding := rule(case)) is not None]
    chosen = _choose(findings)
    reasons = list(chosen.reasons)
    if chosen.rule != "healthy":
        known = set(reasons)
        others = [
            (finding.rule, reason) for finding in findings if finding.rule != "healthy" for reason in finding.reasons
        ]
        for rule, reason in others:
            if reason not in known:
                known.add(reason)
                reasons.append(f"also {rule.replace('_', ' ')}: {reason}")
    reasons += [note for area in signals.areas() for note in area.notes]
    remembered = PastWindow(
        window=signals.window,
        reference=signals.reference.id,
        verdict=chosen.verdict,
        rule=chosen.rule,
        signature=chosen.signature,
        drifted=signals.drift.drifted if signals.drift.measured else None,
        quality=remember(signals.quality),
        broken=signals.data.broken,
        harmless=case.data_is_harmless,
        bounds_yield=bounds_yield(case) and not case.data_is_harmless,
        broken_limits=broken_limits(case),
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
        unseen_rows=signals.labels.unseen_rows if signals.labels.measured else None,
        waiting="" if case.waiting is None else case.waiting.summary,
        next_try="" if case.cadence is None else case.cadence.summary,
        figures=turn_figures(case),
        remembered=remembered,
    )


def _choose(findings: list[Finding]) -> Finding:
    """Return the first finding; if it is blocked, the first that may retrain, or that escalates."""
    first = findings[0]
    if not first.blocked:
        return first
    return next(
        (finding for verdict in ("retrain", "escalate", "judge") for finding in findings if finding.verdict == verdict),
        first,
    )


def _level(case: Case, chosen: Finding) -> Baseline | None:
    """Return the quality to win back: that of the first champion that lost it, not the lower one of later champions."""
    if chosen.kind != "quality":
        return None
    own = case.signals.quality.baseline
    if case.level is None or own is None or (case.unrecovered is not None and not case.unrecovered.lost):
        return own
    greater = facts_of(case.signals.quality.metric, own.scale).greater_is_better
    return max((case.level, own), key=lambda level: level.value if greater else -level.value)


def _notify(case: Case, chosen: Finding) -> bool:
    """Notify once, and again when a data problem lasts; a person who is notified every hour stops reading."""
    if not VERDICTS[chosen.verdict].notifies:
        return False
    past = case.history.windows
    again = bool(past) and (past[-1].verdict, past[-1].signature) == (chosen.verdict, chosen.signature)
    long = case.policy.retraining.data_problem_windows
    lasts = case.lasting(chosen.signature) >= long > case.lasted(chosen.signature)
    return not again or (chosen.verdict == "quarantine" and lasts)
