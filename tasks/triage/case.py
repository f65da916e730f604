"""The case that the rules of triage read: signals, history and policy, and conclusions that several rules share."""

import hashlib
import json
from datetime import timedelta
from functools import cached_property
from itertools import takewhile
from statistics import NormalDist, fmean
from typing import NamedTuple

from pydantic import Field, FiniteFloat

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.policy import Duration
from everfit.blocks.retraining import CostBenefitPolicy, RetrainingPolicy
from everfit.tasks.core.figures import in_digits
from everfit.tasks.core.records import Record, TriggerKind, Window
from everfit.tasks.triage.cadence import Cadence, GateMinimums, next_try
from everfit.tasks.triage.history import History, PastTurn, PastWindow
from everfit.tasks.triage.non_overlapping import NEARLY, non_overlapping
from everfit.tasks.triage.quality_loss import LossEvidence, estimated_loss, realised_loss, unrecovered_loss
from everfit.tasks.triage.quality_signals import Baseline
from everfit.tasks.triage.signals import Signals
from everfit.tasks.triage.verdicts import Verdict
from everfit.tasks.triage.waiting import WaitingChallenger, waiting_challenger
from everfit.tasks.triage.won_back import WonBack, won_back

_WON_BACK = 4
"""A loss counts as won back after this many labelled windows that do not overlap and show none."""


class TriagePolicy(Record):
    """The parts of a model spec that triage reads."""

    monitoring: MonitoringPolicy = MonitoringPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    rollback_within: Duration = timedelta(days=3)
    gate_rows: int = Field(default=200, description="The smallest number of rows that the gate judges by.")
    gate_class_rows: int = Field(default=20, description="The same of the rarest class.")

    @property
    def gate(self) -> GateMinimums:
        """Both together."""
        return GateMinimums(rows=self.gate_rows, class_rows=self.gate_class_rows)


class Finding(Record):
    """The verdict of one rule, with its reasons."""

    rule: str
    verdict: Verdict
    reasons: tuple[str, ...]
    signature: str
    kind: TriggerKind | None = None
    blocked: bool = Field(default=False, description="It would start a retraining, but the last reason prevents that.")


class Worth(NamedTuple):
    """The value of better answers over the time of use of a model.

    Attributes:
        per_row: By how much each row is better: in the metric's unit, or in that of value.
        rows: Number of rows to come.
        benefit: Gives a unit of the metric its value; None if `per_row` is a value already.
        share: The share of it that a turn is expected to win.
    """

    per_row: float
    rows: float
    benefit: CostBenefitPolicy | None = None
    share: float = 1.0

    @property
    def value(self) -> float:
        """In the spec's unit of value."""
        unit = 1.0 if self.benefit is None else self.benefit.value_per_metric_unit
        return self.per_row * unit * self.rows * self.share

    @property
    def origin(self) -> str:
        """The sum in words."""
        per_row, rows = in_digits(self.per_row), in_digits(self.rows)
        won = f" x {in_digits(self.share)} won back" if self.share < 1 else ""
        if self.benefit is None:
            return f"{per_row} a row x {rows} rows{won}"
        value = in_digits(self.benefit.value_per_metric_unit)
        return f"{per_row} x {value} (value_per_metric_unit) x {rows} rows{won}"


class Case(Record):
    """The evidence of a window, and conclusions that several rules share."""

    signals: Signals
    history: History
    policy: TriagePolicy

    def digest(self) -> str:
        """Return an id that is the same for the same evidence.

        The services' own figures change with every reading, so only their alarms count.
        """
        content = self.model_dump(mode="json")
        content["signals"]["service_health"]["figures"] = {}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def realised(self) -> LossEvidence | None:
        """The loss on mature labels; None if quality is not known."""
        rules, signals = self.policy, self.signals
        windows = rules.retraining.false_alarm_windows
        return realised_loss(signals.quality, self.history, signals.reference.id, rules.monitoring, windows)

    @cached_property
    def attempts_at_level(self) -> tuple[PastTurn, ...]:
        """Retrainings that should win back an earlier champion's level, until that is won back."""
        since = self.signals.window.until - self.policy.retraining.attempts_within
        signature = sign("loss", self.signals.quality.metric)
        tried = self.history.attempts_at(signature, since)
        if not tried:
            return ()
        after = [past for past in self.history.windows if past.window.until > tried[-1].until]
        known = [(past, quality) for past in after if (quality := past.judged_quality) is not None]
        newest = non_overlapping(known, lambda pair: pair[1].window, shared=NEARLY)[:_WON_BACK]
        if len(newest) < _WON_BACK:
            return tried
        oldest = newest[-1][0].window.until
        return tried if any(past.signature == signature for past in after if past.window.until >= oldest) else ()

    @property
    def level(self) -> Baseline | None:
        """The quality that an earlier champion had and lost."""
        return self.attempts_at_level[-1].level if self.attempts_at_level else None

    @cached_property
    def unrecovered(self) -> LossEvidence | None:
        """The remaining loss against that level, after a retraining was released."""
        released = any(turn.outcome == "promoted" for turn in self.attempts_at_level)
        if self.level is None or not released:
            return None
        reference = self.signals.reference.id
        return unrecovered_loss(self.signals.quality, self.level, self.history, reference, self.policy.monitoring)

    @cached_property
    def estimated(self) -> LossEvidence | None:
        """The loss by estimate; None if there is no estimate."""
        rules = self.policy
        return estimated_loss(self.signals.estimate, rules.monitoring, rules.retraining.false_alarm_windows)

    @cached_property
    def drifts(self) -> tuple[int, int]:
        """How many of the newest windows without overlap have drifted, and how many could be compared."""
        rules, now = self.policy.monitoring, self.signals.window
        oldest = now.until - _length(now, rules.window) * (rules.persistence_windows + 1)
        past = [window for window in self.history.windows if window.window.until > oldest]
        own = [
            window for window in past if window.drifted is not None and window.reference == self.signals.reference.id
        ]
        earlier = non_overlapping(own, lambda window: window.window, before=now, shared=NEARLY)
        drifted = (self.signals.drift.drifted, *(window.drifted for window in earlier))
        all_known = [flag for flag in drifted if flag is not None][: rules.persistence_windows]
        return sum(all_known), len(all_known)

    @property
    def drift_persists(self) -> bool:
        """Whether this window has drifted, and enough earlier ones have."""
        return self.signals.drift.drifted is True and self.drifts[0] >= self.policy.monitoring.persistence

    @property
    def drift_is_news(self) -> bool:
        """Whether this window has drifted otherwise than earlier windows did."""
        return self.signals.drift.drifted is True and not self.signals.drift.is_known

    @property
    def data_problem(self) -> str:
        """The signature of what is wrong with the data; empty if nothing is."""
        problems = self.signals.data.bad
        return sign("data", sorted((problem.kind, problem.column or "") for problem in problems)) if problems else ""

    @cached_property
    def data_is_harmless(self) -> bool:
        """Whether the data has changed for several windows and quality on such rows has not.

        The labelled rows must all be from after the change. Once that is shown, a later loss is not blamed on it.
        """
        if not self.data_problem:
            return False
        row, loss = self._windows_with_the_problem, self.realised
        if any(past.harmless for past in row):
            return True
        lasting = 1 + len(non_overlapping(row, lambda past: past.window, before=self.signals.window, shared=NEARLY))
        if lasting < self.policy.retraining.data_problem_windows or loss is None:
            return False
        if not self.is_labelled_since_the_problem:
            return False
        surely = loss.loss + NormalDist().inv_cdf(self.policy.monitoring.confidence) * loss.standard_error
        return not loss.lost and loss.loss <= loss.bound and surely <= 2 * loss.bound

    @property
    def is_labelled_since_the_problem(self) -> bool:
        """Whether all labelled rows are from after the same columns broke."""
        row, labelled = self._windows_with_the_problem, self.signals.quality.window
        since = (row[-1] if row else self.signals).window.since
        return since is not None and labelled is not None and labelled.since is not None and labelled.since >= since

    @property
    def _windows_with_the_problem(self) -> list[PastWindow]:
        return list(takewhile(self._has_this_problem, reversed(self.history.windows)))

    def _has_this_problem(self, past: PastWindow) -> bool:
        """Return whether the same columns were broken; expectations that yield meanwhile leave fewer problems."""
        same_champion = past.reference == self.signals.reference.id
        return same_champion and bool(past.broken) and set(self.signals.data.broken) <= set(past.broken)

    def lasting(self, signature: str) -> int:
        """Return for how many windows in a row a problem has lasted, this one included; overlapping ones count once."""
        row = self._row(signature)
        return 1 + len(non_overlapping(row, lambda past: past.window, before=self.signals.window, shared=NEARLY))

    def lasted(self, signature: str) -> int:
        """Return the same as of the previous monitoring run."""
        return len(non_overlapping(self._row(signature), lambda past: past.window, shared=NEARLY))

    def _row(self, signature: str) -> list[PastWindow]:
        return list(takewhile(lambda past: past.signature == signature, reversed(self.history.windows)))

    def attempts(self, signature: str, loss: LossEvidence | None) -> tuple[PastTurn, ...]:
        """Return the attempts at a problem that did not help; a loss twice as deep as then is a new problem."""
        since = self.signals.window.until - self.policy.retraining.attempts_within
        tried = self.history.attempts_in_vain(signature, self.signals.reference.id, since)
        if loss is None:
            return tried
        return tuple(turn for turn in tried if turn.loss is None or turn.loss > loss.loss / 2)

    @cached_property
    def waiting(self) -> WaitingChallenger | None:
        """The challenger that waits for evidence against the present champion; None if none does."""
        return waiting_challenger(self.signals.labels, self.history, self.signals.reference.version)

    @cached_property
    def cadence(self) -> Cadence | None:
        """The sum behind the next try of a turn; None if the spec switches it off, or rows could not be counted."""
        policy, labels = self.policy.retraining, self.signals.labels
        if policy.on == "nothing" or policy.cadence == "never" or policy.new_data is not None:
            return None
        next_one = next_try(
            labels,
            self.history.last_try(self.signals.reference.version),
            least=self.policy.gate,
            window=self.policy.monitoring.window,
            policy=policy,
        )
        return None if next_one is None else next_one.model_copy(update={"worthless": self._does_not_pay()})

    def _does_not_pay(self) -> str:
        """Return why a try would cost more than it brings, even if it gained as much as the bound of a loss."""
        benefit, hope = self.policy.retraining.cost_benefit, self.hope
        if benefit is None or hope is None or self.cost is None or hope.value >= self.cost:
            return ""
        return f"but {cost_summary(benefit.unit, self.cost, hope.value)} if it gained {hope.per_row:.2g}"

    @cached_property
    def hope(self) -> Worth | None:
        """The value of a turn that gains as much as the bound of a loss; None if it can't be computed."""
        benefit, rows, baseline = self.policy.retraining.cost_benefit, self.rows_to_come, self.signals.quality.baseline
        if benefit is None or rows is None or baseline is None:
            return None
        return Worth(self.policy.monitoring.loss_bound(baseline.value, baseline.chance), rows, benefit)

    @cached_property
    def rows_to_come(self) -> float | None:
        """Number of rows while a new model is expected to be useful, at this window's pace."""
        window, benefit = self.signals.window, self.policy.retraining.cost_benefit
        if benefit is None or window.since is None or not self.signals.data.rows:
            return None
        return self.signals.data.rows * (benefit.horizon / (window.until - window.since))

    @cached_property
    def won_back(self) -> WonBack:
        """The results of past turns that answered a loss."""
        return won_back(self.history.turns, self.signals.window.until - self.policy.retraining.attempts_within)

    @cached_property
    def win_back(self) -> Worth | None:
        """The value of what a turn wins back of the loss over that time; None if it can't be computed."""
        benefit, quality, rows = self.policy.retraining.cost_benefit, self.signals.quality, self.rows_to_come
        if benefit is None or rows is None:
            return None
        if quality.value_per_row is not None and quality.baseline_value_per_row is not None:
            return Worth(quality.baseline_value_per_row - quality.value_per_row, rows, share=self.won_back.share)
        evidence = self.realised or self.estimated
        return None if evidence is None else Worth(evidence.loss, rows, benefit, self.won_back.share)

    @property
    def gain(self) -> FiniteFloat | None:
        """That value, in the spec's unit."""
        return None if self.win_back is None else self.win_back.value

    @cached_property
    def cost(self) -> FiniteFloat | None:
        """The cost of a turn, in the spec's unit."""
        benefit = self.policy.retraining.cost_benefit
        if benefit is None or benefit.cost_per_turn is not None:
            return None if benefit is None else benefit.cost_per_turn
        seconds = [turn.seconds for turn in self.history.turns if turn.seconds is not None]
        return fmean(seconds) / 3600 * benefit.cost_per_hour if seconds and benefit.cost_per_hour is not None else None


def _length(window: Window, least: timedelta) -> timedelta:
    """Return the length of a window; after a pause it is longer than the spec says."""
    return least if window.since is None else max(least, window.until - window.since)


def sign(*problem: object) -> str:
    """Return a signature: the same problem has the same one in every window."""
    return hashlib.sha256(json.dumps(problem, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cost_summary(unit: str, cost: float, gain: float) -> str:
    """Return in words what a turn costs and would win back."""
    return f"a turn costs {cost:,.4g} {unit} and would win back {gain:,.4g} {unit}".replace("  ", " ").strip()
