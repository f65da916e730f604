"""The evidence of a look at a traffic trial: the predictions of both arms by a moment, and their labels."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist

import numpy as np
import pandas as pd

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.errors import NotEnoughError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Window
from everfit.tasks.evaluation.answer_divergence import divergence_by_slice, latency_of
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.client_shares import within_share
from everfit.tasks.predictions.drawn_answers import draw_of, drawn_requests, read_drawn
from everfit.tasks.predictions.key_draw import KeyDraw, most_rows
from everfit.tasks.predictions.labelled_predictions import SCORE_COLUMNS, LabelledPredictions
from everfit.tasks.release.traffic.trial import QualityGap, StepEvidence, TrialEvidence, TrialPlan, TrialState
from everfit.tasks.statistics.comparison import Interval, interval
from everfit.tasks.statistics.dependent_comparison import compare_dependent
from everfit.tasks.statistics.dependent_rows import Rows
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.storage.row_hashes import indexed_by_key
from everfit.tasks.storage.tables import KEY, Table

_FEW = 20  # With fewer labels of an arm, a step says nothing about quality.
_CONFIDENCE = 0.95


def read_evidence(
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
    clients: ClientsPolicy | None = None,
    slices: Sequence[str] = (),
) -> TrialEvidence:
    """Read the evidence of a look.

    Args:
        log: The prediction log.
        known: The labels table.
        state: The trial before this look.
        until: Predictions and labels after this moment are ignored.
        event_time: The column of the event time.
        task: The kind of prediction.
        classes: Returns the classes of a version, as text, in its order. It is called only if there are mature labels.
        maturity: How long after the event labels are complete enough.
        champion: The present champion.
        clients: How many rows of one client count, and whose labels; by default all.
        slices: Columns by whose values a shadow's answers are compared.
    """
    plan = state.plan
    span, named = Window(since=plan.since, until=until), slices if plan.is_shadow else ()
    rows, draw = _read_served(log, span, event_time, task, batch=plan.is_shadow, slices=named)
    answers = len(rows)
    if clients is not None and clients.max_share < 1:
        # A step counts both arms, so a client is limited in both alike.
        of = rows[prediction_log.CLIENT]
        rows = rows[within_share(rows[KEY], of, clients.max_share, prediction_log.OWN_CLIENTS)]
    own_arm = "shadow" if plan.is_shadow else "challenger"
    arm, version = rows[prediction_log.ARM], rows[prediction_log.MODEL_VERSION]
    is_ours = (arm == own_arm) & (version == plan.challenger)
    is_theirs = (arm == "champion") & (version == plan.champion)
    # Requests are drawn by themselves: by their keys, one with many rows would be drawn more often than others.
    drawn, by_key = drawn_requests(rows, draw), draw.chosen(rows[KEY])
    asked, failed, answered = (_requests(rows[which & drawn]) for which in (is_ours, arm == "fallback", is_theirs))
    ours, theirs = (rows[which & by_key] for which in (is_ours, is_theirs))
    known_labels = labels.known_at(known, until, rows.loc[by_key, KEY], clients=clients)
    timed, others = (each[prediction_log.LATENCY].dropna() for each in (asked, answered))
    bound = _slow_from(others, plan.policy.max_latency_ratio)
    floor = plan.policy.slow_from.total_seconds() * 1000
    # A shadow predicts when nothing else waits, so its latency decides nothing.
    slow_from = None if bound is None or plan.is_shadow else max(bound, floor)
    comparison = StepComparison(event_time, task, classes, plan, until - maturity, named, draw)
    steps = [
        comparison.step(
            share, window, *(labels.labelled(_within(arm, window, event_time), known_labels) for arm in (ours, theirs))
        )
        for share, window in zip(plan.policy.shares, state.windows(until), strict=False)
    ]
    return TrialEvidence(
        until=until,
        champion=champion,
        requests=len(asked) + len(failed),
        errors=len(failed),
        timed=len(timed),
        slow=0 if slow_from is None else int((timed > slow_from).sum()),
        slow_from_ms=slow_from,
        latency=latency_of(timed, others) if plan.is_shadow else None,
        left_out=answers - len(rows),
        drawn=None if draw.is_all else draw.share,
        steps=tuple(steps),
    )


def _read_served(
    log: Table, window: Window, event_time: str, task: TaskKind, *, batch: bool, slices: Sequence[str]
) -> tuple[pd.DataFrame, KeyDraw]:
    """Return the predictions of the service; those of batch scoring, which has no split of arms, only if wanted.

    If there are very many, they are those of the keys and those of the requests in a draw, which is returned too.
    """
    names = [
        KEY,
        event_time,
        *dict.fromkeys((*SCORE_COLUMNS[task], prediction_log.PREDICTION)),
        prediction_log.PREDICTED_AT,
        prediction_log.LATENCY,
        prediction_log.CLIENT,
    ]
    if not log.exists():
        return pd.DataFrame(columns=[*names, prediction_log.ARM, prediction_log.MODEL_VERSION]), KeyDraw()
    there = set(log.columns())
    own = [*names, prediction_log.ARM, prediction_log.MODEL_VERSION, *(name for name in slices if name in there)]
    arms: tuple[prediction_log.Arm, ...] = (*prediction_log.ANSWERED, *(("shadow",) if batch else ()))
    draw = draw_of(log, window, most_rows(len(own))).halved()
    rows = read_drawn(log, window, event_time, own, draw=draw, arms=arms, with_requests=True)
    if not batch:
        rows = rows[~rows[prediction_log.CLIENT].isin([prediction_log.BATCH, prediction_log.FILE])]
    return rows, draw


def _requests(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each request: its rows share one latency and fail together."""
    return rows.drop_duplicates([prediction_log.PREDICTED_AT, prediction_log.LATENCY, prediction_log.CLIENT])


def _slow_from(latencies: "pd.Series[float]", ratio: float) -> float | None:
    return None if latencies.empty else ratio * float(np.percentile(latencies.to_numpy(dtype=np.float64), 95))


def _within(rows: pd.DataFrame, window: Window, event_time: str) -> pd.DataFrame:
    inside = rows[(rows[event_time] >= window.since) & (rows[event_time] < window.until)]
    # The last prediction of a key counts.
    return inside.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")


@dataclass(frozen=True)
class StepComparison:
    """Compares the arms in one step.

    Attributes:
        event_time: The column of the event time.
        task: The kind of prediction.
        classes: Returns the classes of a version.
        plan: The compared versions, and the metric.
        mature: Labels of rows before this moment are complete enough.
        slices: Columns by whose values a shadow's answers are compared.
        draw: The keys whose rows are compared; rows are counted by it.
    """

    event_time: str
    task: TaskKind
    classes: Callable[[int], Sequence[str]]
    plan: TrialPlan
    mature: datetime
    slices: Sequence[str] = ()
    draw: KeyDraw = field(default_factory=KeyDraw)

    def step(self, share: float, window: Window, ours: pd.DataFrame, theirs: pd.DataFrame) -> StepEvidence:
        """Count and compare the predictions of the challenger (`ours`) and the champion in a step."""
        if self.plan.is_shadow:
            return self._shadow_step(share, window, ours, theirs)
        evidence = self._counted(share, window, ours, theirs)
        old = [arm[(arm[self.event_time] < self.mature) & arm[labels.LABEL].notna()] for arm in (ours, theirs)]
        if min(map(len, old)) < _FEW:
            reason = f"an arm has {min(map(len, old)):,} mature labels in a step; at least {_FEW} are needed"
            return evidence.model_copy(update={"labels": len(old[0]), "no_quality_reason": reason})
        versions = (self.plan.challenger, self.plan.champion)
        arms = [self._labelled(arm, window, version) for arm, version in zip(old, versions, strict=True)]
        both = {name for arm in arms for name in arm.every_class}
        try:
            challenger, champion = (_measured(arm.among(both), self.plan.metric) for arm in arms)
        except NotEnoughError as error:
            return evidence.model_copy(update={"labels": len(arms[0].rows), "no_quality_reason": str(error)})
        gap = QualityGap(
            challenger_rows=challenger.rows,
            champion_rows=champion.rows,
            challenger=challenger.value,
            champion=champion.value,
            gain=metric(self.plan.metric).gain(challenger.value, champion.value),
            standard_error=(_error(challenger) ** 2 + _error(champion) ** 2) ** 0.5,
        )
        return evidence.model_copy(update={"labels": challenger.rows, "quality": gap})

    def _shadow_step(self, share: float, window: Window, ours: pd.DataFrame, theirs: pd.DataFrame) -> StepEvidence:
        """Compare the predictions of both on the same rows, in pairs."""
        both = ours[[KEY]].merge(theirs[[KEY, self.event_time]], on=KEY).sort_values([self.event_time, KEY])[KEY]
        new, old = (indexed_by_key(arm, KEY).loc[both].reset_index(drop=True) for arm in (ours, theirs))
        evidence = self._counted(share, window, both, theirs)
        if len(both):
            apart = divergence_by_slice(new, old, self.slices, self.task)
            evidence = evidence.model_copy(update={"agreement": self._agreement(new, old), "divergence": apart})
        usable = ((old[self.event_time] < self.mature) & old[labels.LABEL].notna()).to_numpy(dtype=np.bool_)
        if usable.sum() < _FEW:
            reason = f"{int(usable.sum()):,} rows that both predicted have a mature label; at least {_FEW} are needed"
            return evidence.model_copy(update={"labels": int(usable.sum()), "no_quality_reason": reason})
        arms = [
            self._labelled(arm[usable].reset_index(drop=True), window, version)
            for arm, version in ((new, self.plan.challenger), (old, self.plan.champion))
        ]
        names = {name for arm in arms for name in arm.every_class}
        challenger, champion = (arm.among(names) for arm in arms)
        times = champion.rows[self.event_time].to_numpy(dtype="datetime64[ns]").astype(np.int64)
        whole = {} if champion.entities is None else {"entity": champion.entities}
        rows = Rows(metric(self.plan.metric), champion.truth, challenger.scores, champion.scores, times, whole=whole)
        try:
            compared = compare_dependent(rows, _CONFIDENCE)
        except NotEnoughError as error:
            return evidence.model_copy(update={"labels": len(champion.rows), "no_quality_reason": str(error)})
        gap = QualityGap(
            challenger_rows=compared.rows,
            champion_rows=compared.rows,
            challenger=compared.challenger,
            champion=compared.champion,
            gain=compared.difference,
            # Few groups count as uncertain: their t interval is as wide as the normal one of a larger error.
            standard_error=max(0.0, compared.upper - compared.difference) / NormalDist().inv_cdf(_CONFIDENCE),
        )
        return evidence.model_copy(update={"labels": compared.rows, "quality": gap})

    def _counted(self, share: float, window: Window, ours: Sized, theirs: Sized) -> StepEvidence:
        """Return the numbers of predictions of both arms, which the draw tells."""
        challenger, champion = (round(len(arm) / self.draw.share) for arm in (ours, theirs))
        return StepEvidence(share=share, window=window, challenger_rows=challenger, champion_rows=champion)

    def _agreement(self, new: pd.DataFrame, old: pd.DataFrame) -> float:
        """Return how far both agree: the share of equal answers, or the correlation of numbers."""
        if self.task != "regression":
            return float((new[prediction_log.PREDICTION] == old[prediction_log.PREDICTION]).mean())
        one, other = (arm[prediction_log.PREDICTION].to_numpy(dtype=np.float64) for arm in (new, old))
        if min(np.ptp(one), np.ptp(other)) == 0:
            return float(np.array_equal(one, other))
        return float(np.corrcoef(one, other)[0, 1])

    def _labelled(self, rows: pd.DataFrame, window: Window, version: int) -> LabelledPredictions:
        known = () if self.task == "regression" else tuple(self.classes(version))
        return LabelledPredictions(window, rows, self.event_time, self.task, known)


def _measured(arm: LabelledPredictions, name: str) -> Interval:
    # Both arms cover the same days, so differences between days don't affect the comparison.
    weights = None if arm.inclusion is None else 1 / arm.inclusion
    return interval(arm.truth, arm.scores, name, confidence=_CONFIDENCE, weights=weights)


def _error(measured: Interval) -> float:
    return (measured.upper - measured.lower) / (2 * NormalDist().inv_cdf((1 + _CONFIDENCE) / 2))
