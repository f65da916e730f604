"""What the rules of triage look at: signals, history and policy, and what follows from them for more than one rule."""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from itertools import takewhile
from statistics import fmean
from typing import Literal

from pydantic import Field, FiniteFloat

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.policy import Duration
from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, TriggerKind
from everfit.tasks.triage.failure_backoff import failures
from everfit.tasks.triage.history import History, PastTurn, PastWindow
from everfit.tasks.triage.non_overlapping import NEARLY, apart
from everfit.tasks.triage.quality_loss import LossEvidence, estimated_loss, realised_loss, unrecovered_loss
from everfit.tasks.triage.signals import Baseline, Signals

Verdict = Literal["healthy", "watch", "quarantine", "retrain", "roll_back", "escalate"]


_WON_BACK = 4
"""After so many labelled windows apart without the loss in between, it counts as won back."""


class TriagePolicy(Record):
    """The parts of a model spec that triage reads."""

    monitoring: MonitoringPolicy = MonitoringPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    rollback_within: Duration = timedelta(days=3)


class Finding(Record):
    """What one rule found."""

    rule: str
    verdict: Verdict
    reasons: tuple[str, ...]
    signature: str
    kind: TriggerKind | None = None
    blocked: bool = Field(default=False, description="It would call for a training, but for what the reasons say.")


class Case(Record):
    """The evidence, and what follows from it for more than one rule."""

    signals: Signals
    history: History
    policy: TriagePolicy

    def digest(self) -> str:
        """The same for the same evidence; what a service tells of itself is other figures at each look.

        So of operations only what is out of bounds counts.
        """
        content = self.model_dump(mode="json")
        content["signals"]["operations"]["figures"] = {}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def realised(self) -> LossEvidence | None:
        """What was lost by mature labels; None where they say nothing."""
        rules, signals = self.policy, self.signals
        windows = rules.retraining.false_alarm_windows
        return realised_loss(signals.quality, self.history, signals.reference.id, rules.monitoring, windows)

    @cached_property
    def attempts_at_level(self) -> tuple[PastTurn, ...]:
        """Retrainings that were to win back what an earlier champion had, until that is won back."""
        since = self.signals.window.until - self.policy.retraining.attempts_within
        signature = sign("loss", self.signals.quality.metric)
        tried = self.history.attempts_at(signature, since)
        if not tried:
            return ()
        after = [each for each in self.history.windows if each.window.until > tried[-1].until]
        known = [(each, found) for each in after if (found := each.judged_quality) is not None]
        weighed = apart(known, lambda each: each[1].window, shared=NEARLY)[:_WON_BACK]
        if len(weighed) < _WON_BACK:
            return tried
        oldest = weighed[-1][0].window.until
        return tried if any(each.signature == signature for each in after if each.window.until >= oldest) else ()

    @property
    def level(self) -> Baseline | None:
        """What an earlier champion had and lost."""
        return self.attempts_at_level[-1].level if self.attempts_at_level else None

    @cached_property
    def unrecovered(self) -> LossEvidence | None:
        """What is still lost against that level, after a retraining that was released."""
        released = any(turn.outcome == "promoted" for turn in self.attempts_at_level)
        if self.level is None or not released:
            return None
        reference = self.signals.reference.id
        return unrecovered_loss(self.signals.quality, self.level, self.history, reference, self.policy.monitoring)

    @cached_property
    def estimated(self) -> LossEvidence | None:
        """What was lost by estimate; None where there is none."""
        rules = self.policy
        return estimated_loss(self.signals.estimate, rules.monitoring, rules.retraining.false_alarm_windows)

    @cached_property
    def drifts(self) -> tuple[int, int]:
        """In how many of the newest windows apart that could be compared drift was seen, this one included."""
        rules, now = self.policy.monitoring, self.signals.window
        oldest = now.until - rules.window * (rules.persistence_windows + 1)
        past = [each for each in self.history.windows if each.window.until > oldest and each.drifted is not None]
        own = [each for each in past if each.reference == self.signals.reference.id]
        known = [each.drifted for each in apart(own, lambda each: each.window, before=now, shared=NEARLY)]
        all_known = [each for each in (self.signals.drift.drifted, *known) if each is not None][
            : rules.persistence_windows
        ]
        return sum(all_known), len(all_known)

    @property
    def drift_persists(self) -> bool:
        """Whether drift is seen now and was seen often enough before."""
        return self.signals.drift.drifted is True and self.drifts[0] >= self.policy.monitoring.persistence

    def lasting(self, signature: str) -> int:
        """For how many windows in a row that are apart the same has been wrong, this one included."""
        row = self._row(signature)
        return 1 + len(apart(row, lambda each: each.window, before=self.signals.window, shared=NEARLY))

    def lasted(self, signature: str) -> int:
        """The same at the look before this one."""
        return len(apart(self._row(signature), lambda each: each.window, shared=NEARLY))

    def _row(self, signature: str) -> list[PastWindow]:
        return list(takewhile(lambda each: each.signature == signature, reversed(self.history.windows)))

    def attempts(self, signature: str, loss: LossEvidence | None) -> tuple[PastTurn, ...]:
        """Attempts in vain at what is wrong now; a loss twice as deep as it was then is something new."""
        since = self.signals.window.until - self.policy.retraining.attempts_within
        tried = self.history.attempts_in_vain(signature, self.signals.reference.id, since)
        if loss is None:
            return tried
        return tuple(turn for turn in tried if turn.loss is None or turn.loss > loss.loss / 2)

    @cached_property
    def rows_to_come(self) -> float | None:
        """Rows over the time that a new model is expected to be of use, at this window's pace."""
        window, worth = self.signals.window, self.policy.retraining.cost_benefit
        if worth is None or window.since is None or not self.signals.data.rows:
            return None
        return self.signals.data.rows * (worth.horizon / (window.until - window.since))

    @cached_property
    def gain(self) -> FiniteFloat | None:
        """What winning back the loss is worth over that time, in the spec's unit."""
        worth, quality, rows = self.policy.retraining.cost_benefit, self.signals.quality, self.rows_to_come
        if worth is None or rows is None:
            return None
        if quality.value_per_row is not None and quality.baseline_value_per_row is not None:
            return (quality.baseline_value_per_row - quality.value_per_row) * rows
        evidence = self.realised or self.estimated
        return None if evidence is None else evidence.loss * worth.value_per_metric_unit * rows

    @cached_property
    def cost(self) -> FiniteFloat | None:
        """What a turn costs, in the spec's unit."""
        worth = self.policy.retraining.cost_benefit
        if worth is None or worth.cost_per_turn is not None:
            return None if worth is None else worth.cost_per_turn
        seconds = [turn.seconds for turn in self.history.turns if turn.seconds is not None]
        return fmean(seconds) / 3600 * worth.cost_per_hour if seconds and worth.cost_per_hour is not None else None


def sign(*what: object) -> str:
    """Names what is wrong: the same trouble gives the same signature in every window."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def call(
    rule: str,
    kind: TriggerKind,
    case: Case,
    reasons: Sequence[str],
    *,
    signature: str,
    loss: LossEvidence | None = None,
    attempts: tuple[PastTurn, ...] | None = None,
) -> Finding:
    """Call for a retraining, unless it was tried in vain, can't help, or isn't worth it.

    Args:
        rule: The rule that calls.
        kind: Of the trigger.
        case: The evidence.
        reasons: Why it calls.
        signature: Of what is wrong.
        loss: What retraining is to win back.
        attempts: What was tried, where it isn't to be read from the history's failures.
    """
    policy, why = case.policy.retraining, tuple(reasons)

    def blocked(by: str, verdict: Verdict, *more: str) -> Finding:
        return Finding(rule=by, verdict=verdict, reasons=why + more, signature=signature, kind=kind, blocked=True)

    if policy.on == "nothing" and kind in {"quality", "drift"}:
        return blocked(rule, "escalate", "the spec starts no retraining by itself (retraining.on: nothing)")
    labels = case.signals.labels
    if labels.measured and labels.new_rows == 0:
        return blocked("nothing_to_learn", "escalate", "no rows have matured since the last turn to learn from")
    tried = case.attempts(signature, loss) if attempts is None else attempts
    if tried:
        asks: Verdict = "escalate" if len(tried) >= policy.escalate_after and attempts is None else "watch"
        by = "retraining_in_vain" if asks == "escalate" else "backing_off"
        base = policy.back_off or case.policy.monitoring.window
        again = tried[-1].until + base * policy.back_off_factor ** (len(tried) - 1)
        if len(tried) >= policy.max_attempts:
            return blocked(by, asks, *_tried_words(tried), "it is not tried again by itself")
        if case.signals.window.until < again:
            return blocked(by, asks, *_tried_words(tried), f"it is tried again from {again:%Y-%m-%d %H:%M} on")
    if kind in {"quality", "drift"} and case.gain is not None and case.cost is not None and case.gain < case.cost:
        unit = policy.cost_benefit.unit if policy.cost_benefit else ""
        words = f"a turn costs {case.cost:,.4g} {unit} and would win back {case.gain:,.4g} {unit}".replace("  ", " ")
        return blocked("not_worth_it", "watch", words)
    return Finding(rule=rule, verdict="retrain", reasons=why, signature=signature, kind=kind)


def hold_up(finding: Finding, case: Case) -> Finding:
    """A finding that calls for a turn says why there is none while turns break off, whatever it calls for."""
    row = failures(case.history.turns, case.policy.retraining)
    if finding.verdict != "retrain" or row is None or case.signals.window.until >= row.again:
        return finding
    changes = {"rule": "turns_break_off", "verdict": "escalate" if row.too_many else "watch", "blocked": True}
    return finding.model_copy(update={**changes, "reasons": (*finding.reasons, row.words)})


def _tried_words(tried: Sequence[PastTurn]) -> tuple[str, ...]:
    listed = ", ".join(f"{turn.turn_id} ({turn.outcome.replace('_', ' ')})" for turn in tried)
    times = "once" if len(tried) == 1 else f"{len(tried)} times"
    return (f"retraining was tried {times} and did not help enough: {listed}",)
