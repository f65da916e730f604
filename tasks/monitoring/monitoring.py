"""Monitoring: from the prediction log, the labels and the reference to the signals that triage reads.

Each area of evidence is worked out by itself. What could not be worked out says so, and why: never that all is well.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import TypeVar

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.champion_at import Standing
from everfit.tasks.monitoring.signals.data_quality import DataQuality, Feed, data_quality
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.monitoring.signals.explanation_drift import ExplanationDrift
from everfit.tasks.monitoring.signals.joint_drift import MultivariateDrift
from everfit.tasks.monitoring.triage_history import Judged
from everfit.tasks.monitoring.window import Live
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.predictions.labels import known_at
from everfit.tasks.predictions.prediction_log import read as read_predictions
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.triage.non_overlapping import NEARLY, apart
from everfit.tasks.triage.signals import (
    Area,
    DataSignal,
    DriftSignal,
    LabelsSignal,
    Problem,
    Reference,
)
from everfit.tasks.turns.turn_record import JUDGED, NOTHING_NEW, PROMOTED

logger = logging.getLogger("everfit.monitoring")

_AreaT = TypeVar("_AreaT", bound=Area)

_SEEN = 6
"""Of so many past windows that are apart the median coverage is what is usual."""


class Windows(Record):
    """The spans that a monitoring run looks at.

    The labelled one lies earlier by the maturity, so that it is as long as the other. Rows that the champion may have
    trained on are in neither.
    """

    window: Window
    labelled: Window
    policy_window: timedelta

    @property
    def policy_span(self) -> Window:
        """As long as the spec says, whatever the champion may have trained on."""
        return Window(since=self.window.until - self.policy_window, until=self.window.until)

    @property
    def both(self) -> Window:
        """From the beginning of the earlier to the end of the later one."""
        return Window(since=self.labelled.since, until=self.window.until)


def windows_of(spec: ModelSpec, trained_until: datetime, until: datetime) -> Windows:
    """The spans that end at a moment.

    Args:
        spec: The model's spec.
        trained_until: The champion has seen no row at or after this.
        until: The moment.
    """
    span, mature = spec.monitoring.window, until - spec.maturity

    def clamped(end: datetime) -> Window:
        since = end - span
        return Window(since=max(since, trained_until) if trained_until < end else since, until=end)

    return Windows(window=clamped(until), labelled=clamped(mature), policy_window=span)


def attempt(area: Callable[[], _AreaT], kind: Callable[..., _AreaT]) -> _AreaT:
    """Work an area out; what goes wrong is the area's status, for the other areas still count.

    Only what more rows would mend is `not_enough`; data that can't be read as it should is a failure.
    """
    try:
        return area()
    except NotEnoughError as error:
        return kind(status="not_enough", reason=str(error))
    except Exception as error:
        found = kind(status="failed", reason=f"{type(error).__name__}: {error}")
        logger.exception("%s could not be worked out", type(found).__name__)
        return found


def reference_signal(standing: Standing, profile: Profile, trained_until: datetime) -> Reference:
    """The champion and what it was trained on."""
    return Reference(
        version=standing.version,
        id=f"v{standing.version}-{profile.digest()[:12]}",
        released=standing.released,
        trained_until=trained_until,
        training_rows=profile.rows,
        previous_version=standing.previous_version,
    )


def expected_rows(profile: Profile, window: Window, released: datetime) -> float | None:
    """How many rows were to come, at the reference's pace, while the champion was there to answer."""
    if window.since is None:
        return None
    span = window.until - max(window.since, min(released, window.until))
    return profile.expected_rows(span) if span else 0.0


def data_signal(
    live: Live,
    labelled: LabelledPredictions | None,
    profile: Profile,
    policy: MonitoringPolicy,
    *,
    expected: float | None,
    unmet: Sequence[Problem] | None = (),
) -> DataSignal:
    """Whether the window's data can be relied upon.

    Args:
        live: The predictions of the window.
        labelled: The answers in the window whose labels are mature; None where they couldn't be read.
        profile: The champion's.
        policy: From where on data counts as broken.
        expected: Rows that were to come.
        unmet: What the rows fail of the model's expectations; None where they are too few to say.
    """
    feeds = [Feed(name="the prediction log", rows=live.rows, expected_rows=expected, newest=live.newest)]
    if labelled is not None and len(labelled.rows):
        known = labelled.with_labels().rows
        newest = known[labelled.event_time].max().to_pydatetime() if len(known) else None
        age = policy.data_quality.max_age or policy.window
        allowed = age + (live.window.until - labelled.window.until)
        feeds.append(Feed(name="the labels", rows=len(known), newest=newest, max_age=allowed))
    found = data_quality(profile, live.counts, policy, window=live.window, feeds=feeds)
    too_few = found.status == "unknown" or unmet is None
    return DataSignal(
        status="not_enough" if too_few else "measured",
        reason=f"{live.rows:,} predictions are too few to check" if too_few else "",
        rows=live.rows,
        expected_rows=expected,
        bad=(*_problems(found, "bad"), *(unmet or ())),
        suspicious=_problems(found, "suspect"),
    )


def _problems(found: DataQuality, severity: str) -> tuple[Problem, ...]:
    return tuple(
        Problem(kind=each.kind, column=each.subject, words=each.words)
        for each in found.findings
        if each.severity == severity
    )


def answers_otherwise(first: DriftSignal | None) -> bool:
    """Whether a champion's predictions were unlike the hold-out's from its first window on, the inputs as they were.

    The hold-out was answered by the challenger as it was judged; what serves was fitted again on more rows, and where
    the world has just changed it answers otherwise. That is the model's doing, and no drift.

    Args:
        first: Drift in the first window that the champion answered.
    """
    if first is None or not first.prediction:
        return False
    return not first.share and not first.beside


def drift_signal(
    result: DriftResult,
    explained: ExplanationDrift | None = None,
    joint: MultivariateDrift | None = None,
    first: DriftSignal | None = None,
    *,
    policy: MonitoringPolicy,
    fitted_again: bool = False,
) -> DriftSignal:
    """Whether inputs or predictions have moved away from the reference.

    Args:
        result: Column by column.
        explained: What the champion rests its answers on; none where there were too few rows.
        joint: All columns together, where the spec asks for it.
        first: Drift in the first window that the champion answered; without it this is that window.
        policy: From which share of drifted features on the window has drifted.
        fitted_again: Whether the champion was fitted again after it was judged.
    """
    beside = tuple(each.words for each in (explained, joint) if each is not None and each.drifted)
    told = tuple(each.words for each in (explained, joint) if each is not None and not each.drifted)
    reason = "; ".join((*result.reasons, *beside, *told))
    if result.drifted is None:
        return DriftSignal(status="not_enough", reason=reason or result.status.replace("_", " "))
    by_inputs = result.drifted_share is not None and result.drifted_share >= policy.drifted_share
    moved = sorted((each for each in result.columns if each.drifted), key=lambda each: -(each.effect or 0.0))
    found = DriftSignal(
        status="measured",
        reason=reason,
        drifted=result.drifted or bool(beside),
        columns=tuple(each.column for each in moved),
        share=result.drifted_share,
        prediction=result.prediction_drifted,
        explanations=explained.distance if explained else None,
        joint=joint.auc if joint else None,
        beside=beside,
    )
    if not found.prediction or not fitted_again or not answers_otherwise(first or found):
        return found
    reason += "; predictions have been unlike the hold-out's since its first window, which is how it answers"
    return found.model_copy(update={"drifted": by_inputs or bool(beside), "reason": reason})


def labels_signal(log: Table, known: Table, fresh: Window, event_time: str, until: datetime) -> LabelsSignal:
    """What there is to learn from: answered rows with mature labels that no turn has seen.

    Args:
        log: The prediction log, whatever version answered.
        known: The labels.
        fresh: From where the last turn's rows ended to where labels are mature.
        event_time: The column of the event time.
        until: What is known at this moment is all that is known.
    """
    keys = read_predictions(log, fresh, event_time, columns=[KEY])[KEY].drop_duplicates()
    return LabelsSignal(status="measured", new_rows=len(known_at(known, until, keys)))


def learned_until(turns: Sequence[Turn], spec: ModelSpec, trained_until: datetime, until: datetime) -> datetime:
    """Up to where the rows went that the last turn before a moment has learned from; one that broke off has not."""
    before = [turn for turn in turns if turn.state in JUDGED | {NOTHING_NEW} and turn.window.until < until]
    ends = [turn.window.until - spec.maturity for turn in before]
    return max([trained_until, *ends]) if trained_until < until else trained_until


def usual_coverage(judged: Sequence[Judged], at_first: float | None, labelled: Window) -> float | None:
    """What share of mature rows used to have a label: the median of past windows, or what the training data had.

    Args:
        judged: Past windows; those that lacked their labels are none to go by, however long that lasts.
        at_first: What the training data had.
        labelled: The window that is to be judged.
    """
    seen = [
        (found.coverage, found.window)
        for each in judged
        if (found := each.signals.quality).coverage and found.window and not found.lacks_labels
    ]
    known = apart(seen, lambda each: each[1], before=labelled, shared=NEARLY)[:_SEEN]
    return median(coverage for coverage, _ in known) if known else at_first


def past_estimates(judged: Sequence[Judged], version: int) -> list[PastEstimate]:
    """How a champion's estimated quality came true in windows that are apart, newest first.

    Args:
        judged: Past windows.
        version: The champion's.
    """
    own = [each for each in judged if each.decision.reference.startswith(f"v{version}-")]
    known = [(each.estimate, each.decision.window) for each in own if each.estimate is not None]
    return [estimate for estimate, _ in apart(known, lambda each: each[1], shared=NEARLY)]


def turn_of_release(turns: Sequence[Turn], standing: Standing) -> Turn | None:
    """The turn that trained the champion."""
    for turn in turns:
        record = turn.record.get("version") or {}
        if turn.id == standing.turn_id or (turn.state == PROMOTED and record.get("version") == standing.version):
            return turn
    return None
