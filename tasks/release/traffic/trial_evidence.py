"""What a trial's arms have answered by a moment, and what came true of it: the evidence of a look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist

import numpy as np
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.labelled_predictions import SCORE_COLUMNS, LabelledPredictions
from everfit.tasks.release.traffic.trial import QualityGap, StepEvidence, TrialEvidence, TrialPlan, TrialState
from everfit.tasks.statistics.comparison import Interval, interval
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.storage.tables import KEY, Table

_FEW = 20  # labels of an arm below which a step says nothing of quality
_CONFIDENCE = 0.95


def gather(
    log: Table,
    known: Table,
    state: TrialState,
    until: datetime,
    *,
    event_time: str,
    task: TaskKind,
    classes: Callable[[int], Sequence[str]],
    maturity: timedelta,
    champion: int | None,
) -> TrialEvidence:
    """Read what a look needs.

    Args:
        log: The prediction log.
        known: The labels.
        state: The trial.
        until: What is known at this moment is all that is known.
        event_time: The column of the event time.
        task: What is predicted.
        classes: Gives the classes that a version knows, as text, in its order; asked for where there are labels to
            judge by.
        maturity: How long after the event labels are complete enough.
        champion: The champion at present.
    """
    plan = state.plan
    rows = _answered(log, Window(since=plan.since, until=until), event_time, task)
    ours = rows[(rows[prediction_log.ARM] == "challenger") & (rows[prediction_log.MODEL_VERSION] == plan.challenger)]
    failed = rows[rows[prediction_log.ARM] == "fallback"]
    theirs = rows[(rows[prediction_log.ARM] == "champion") & (rows[prediction_log.MODEL_VERSION] == plan.champion)]
    given = labels.known_at(known, until, rows[KEY])
    timed = _requests(ours)[prediction_log.LATENCY].dropna()
    bound = _slow_from(_requests(theirs)[prediction_log.LATENCY].dropna(), plan.policy.max_latency_ratio)
    floor = plan.policy.slow_from.total_seconds() * 1000
    slow_from = None if bound is None else max(bound, floor)
    errors = len(_requests(failed))
    judge = _Judge(event_time, task, classes, plan, until - maturity)
    steps = [
        judge.step(share, window, *(labels.labelled(_within(arm, window, event_time), given) for arm in (ours, theirs)))
        for share, window in zip(plan.policy.shares, state.windows(until), strict=False)
    ]
    return TrialEvidence(
        until=until,
        champion=champion,
        requests=len(_requests(ours)) + errors,
        errors=errors,
        timed=len(timed),
        slow=0 if slow_from is None else int((timed > slow_from).sum()),
        slow_from_ms=slow_from,
        steps=tuple(steps),
    )


def _answered(log: Table, window: Window, event_time: str, task: TaskKind) -> pd.DataFrame:
    """The answers that went out over HTTP; what a batch predicted was not dealt out to arms."""
    names = [
        KEY,
        event_time,
        *SCORE_COLUMNS[task],
        prediction_log.PREDICTED_AT,
        prediction_log.LATENCY,
        prediction_log.CLIENT,
    ]
    if not log.exists():
        return pd.DataFrame(columns=[*names, prediction_log.ARM, prediction_log.MODEL_VERSION])
    own = [*names, prediction_log.ARM, prediction_log.MODEL_VERSION]
    rows = prediction_log.read(log, window, event_time, columns=own)
    return rows[~rows[prediction_log.CLIENT].isin([prediction_log.BATCH, prediction_log.FILE])]


def _requests(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each request: its rows have one latency, and fail together."""
    return rows.drop_duplicates([prediction_log.PREDICTED_AT, prediction_log.LATENCY, prediction_log.CLIENT])


def _slow_from(latencies: "pd.Series[float]", ratio: float) -> float | None:
    return None if latencies.empty else ratio * float(np.percentile(latencies.to_numpy(dtype=np.float64), 95))


def _within(rows: pd.DataFrame, window: Window, event_time: str) -> pd.DataFrame:
    inside = rows[(rows[event_time] >= window.since) & (rows[event_time] < window.until)]
    # Of a key that was asked twice the last answer counts.
    return inside.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")


@dataclass(frozen=True)
class _Judge:
    """How a step is judged.

    Attributes:
        event_time: The column of the event time.
        task: What is predicted.
        classes: Gives the classes that a version knows.
        plan: Who is compared with whom, and by which metric.
        mature: Labels of rows before this moment are complete enough.
    """

    event_time: str
    task: TaskKind
    classes: Callable[[int], Sequence[str]]
    plan: TrialPlan
    mature: datetime

    def step(self, share: float, window: Window, ours: pd.DataFrame, theirs: pd.DataFrame) -> StepEvidence:
        """Count and compare what the challenger (`ours`) and the champion answered in a step."""
        found = StepEvidence(share=share, window=window, challenger_rows=len(ours), champion_rows=len(theirs))
        old = [arm[(arm[self.event_time] < self.mature) & arm[labels.LABEL].notna()] for arm in (ours, theirs)]
        if min(map(len, old)) < _FEW:
            why = f"an arm has {min(map(len, old)):,} mature labels in a step; {_FEW} are the least"
            return found.model_copy(update={"labels": len(old[0]), "no_quality_reason": why})
        versions = (self.plan.challenger, self.plan.champion)
        arms = [self._answers(arm, window, version) for arm, version in zip(old, versions, strict=True)]
        both = {name for arm in arms for name in arm.every_class}
        try:
            new, was = (_measured(arm.among(both), self.plan.metric) for arm in arms)
        except NotEnoughError as error:
            return found.model_copy(update={"labels": len(arms[0].rows), "no_quality_reason": str(error)})
        gap = QualityGap(
            challenger_rows=new.rows,
            champion_rows=was.rows,
            challenger=new.value,
            champion=was.value,
            gain=metric(self.plan.metric).gain(new.value, was.value),
            standard_error=(_error(new) ** 2 + _error(was) ** 2) ** 0.5,
        )
        return found.model_copy(update={"labels": new.rows, "quality": gap})

    def _answers(self, rows: pd.DataFrame, window: Window, version: int) -> LabelledPredictions:
        known = () if self.task == "regression" else tuple(self.classes(version))
        return LabelledPredictions(window, rows, self.event_time, self.task, known)


def _measured(arm: LabelledPredictions, name: str) -> Interval:
    # Both arms have the same days, so what differs from day to day does not make them differ.
    weights = None if arm.inclusion is None else 1 / arm.inclusion
    return interval(arm.truth, arm.scores, name, confidence=_CONFIDENCE, weights=weights)


def _error(found: Interval) -> float:
    return (found.upper - found.lower) / (2 * NormalDist().inv_cdf((1 + _CONFIDENCE) / 2))
