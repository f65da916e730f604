"""The evidence area `drift`: columns, explanations and the joint distribution against the reference."""

import logging
from collections.abc import Sequence
from functools import partial

import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.champion_scores import champion_scores
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.monitoring.signals.explanation_drift import ExplanationDrift, attributions, explanation_drift
from everfit.tasks.monitoring.signals.joint_drift import JointDrift, joint_drift
from everfit.tasks.monitoring.signals.seasonal_drift import season_of
from everfit.tasks.monitoring.signals.text_drift import TextDrift, text_drift
from everfit.tasks.monitoring.triage_history import JudgedWindow
from everfit.tasks.triage.non_overlapping import NEARLY, non_overlapping
from everfit.tasks.triage.signals import DriftSignal

logger = logging.getLogger("everfit.monitoring")


def compare_with_reference(window: MonitoredWindow) -> DriftSignal:
    """Compare the window with the reference: column by column, then explanations and all columns together."""
    monitored, columns = window.monitored, window.column_drift
    policy = monitored.context.spec.monitoring
    if columns.drifted is None:
        return drift_signal(columns, policy=policy)
    explained = _explanation_drift(monitored, window.live.sample) if policy.explanation_drift else None
    joint = _joint_drift(monitored, window.live.sample) if policy.joint_drift else None
    texts = _text_drift(monitored, window.live.sample)
    first, refitted = _first_drift(window), monitored.was_refitted
    signal = drift_signal(columns, explained, joint, first, texts=texts, policy=policy, refitted=refitted)
    own = [judged for judged in monitored.judged if judged.decision.reference.startswith(_own(window))]
    new = new_drift(signal, own, monitored.windows.window, policy)
    seasonal = season_of(window, [name for name in new if name in signal.columns])
    return signal.model_copy(update={"new": tuple(name for name in new if name not in seasonal), "seasonal": seasonal})


def new_drift(
    signal: DriftSignal, judged: Sequence[JudgedWindow], window: Window, policy: MonitoringPolicy
) -> tuple[str, ...]:
    """Return the drifted columns whose drift has not persisted in earlier windows of the champion.

    Args:
        signal: Drift of the window.
        judged: Earlier windows of the champion.
        window: The window.
        policy: In how many of the newest windows drift persists.
    """
    measured = [drift for drift in judged if drift.signals.drift.measured]
    apart = non_overlapping(measured, lambda drift: drift.decision.window, before=window, shared=NEARLY)
    newest = [drift.signals.drift for drift in apart[: policy.persistence_windows]]

    def is_new(times: int) -> bool:
        return times < policy.persistence

    columns = [name for name in signal.columns if is_new(sum(name in drift.columns for drift in newest))]
    beside = signal.beside if signal.beside and is_new(sum(bool(drift.beside) for drift in newest)) else ()
    return (*columns, *beside)


def drift_signal(
    columns: DriftResult,
    explained: ExplanationDrift | None = None,
    joint: JointDrift | None = None,
    first: DriftSignal | None = None,
    *,
    texts: Sequence[TextDrift] = (),
    policy: MonitoringPolicy,
    refitted: bool = False,
) -> DriftSignal:
    """Return whether inputs or predictions have moved away from the reference.

    Args:
        columns: Drift of each column.
        explained: Drift of the explanations; None if there were too few rows.
        joint: Drift of all columns together; None if the spec does not ask for it.
        first: Drift in the champion's first window; None if this is the first.
        texts: Drift of the columns of free text.
        policy: The share of drifted features from which the window has drifted.
        refitted: Whether the champion was fitted again after it was evaluated.
    """
    others = [result for result in (explained, joint, *texts) if result is not None]
    beside = tuple(result.summary for result in others if result.drifted)
    steady = tuple(result.summary for result in others if not result.drifted)
    reason = "; ".join((*columns.reasons, *beside, *steady))
    if columns.drifted is None:
        return DriftSignal(status="not_enough", reason=reason or columns.status.replace("_", " "))
    by_inputs = columns.drifted_share is not None and columns.drifted_share >= policy.drifted_share
    drifted = sorted(
        (column for column in columns.columns if column.drifted), key=lambda column: -(column.effect or 0.0)
    )
    signal = DriftSignal(
        status="measured",
        reason=reason,
        drifted=columns.drifted or bool(beside),
        columns=tuple(column.column for column in drifted),
        share=columns.drifted_share,
        prediction=columns.prediction_drifted,
        explanations=explained.distance if explained else None,
        joint=joint.auc if joint else None,
        beside=beside,
    )
    if not signal.prediction or not refitted or not predicts_differently(first or signal):
        return signal
    reason += (
        "; predictions have differed from the hold-out's since the champion's first window, because it was refitted"
    )
    return signal.model_copy(update={"drifted": by_inputs or bool(beside), "reason": reason})


def predicts_differently(first: DriftSignal | None) -> bool:
    """Return whether a champion's predictions differed from the hold-out's in its first window, on unchanged inputs.

    The evaluated challenger answered the hold-out; the served model was fitted again on more rows. If the world has
    just changed, the two answer differently. That is a property of the model and no drift.

    Args:
        first: Drift in the first window that the champion answered.
    """
    if first is None or not first.prediction:
        return False
    return not first.share and not first.beside


def _first_drift(window: MonitoredWindow) -> DriftSignal | None:
    """Return the drift of the champion's first window, if that was an earlier one."""
    past = [
        judged.signals.drift for judged in window.monitored.judged if judged.decision.reference.startswith(_own(window))
    ]
    return next((drift for drift in past if drift.measured), None)


def _own(window: MonitoredWindow) -> str:
    """Return how the reference of the champion's version begins."""
    return f"v{window.monitored.champion.version}-"


def _explanation_drift(monitored: MonitoredModel, live: pd.DataFrame) -> ExplanationDrift | None:
    """Compare the champion's explanations of the window's rows with the reference; None if there are too few rows."""
    scorer, policy = monitored.scorer(monitored.champion.version), monitored.context.spec.monitoring
    names = [column.name for column in scorer.inputs.features]
    if not set(names) <= set(live.columns) & set(monitored.reference.sample.columns):
        return None
    held_out = monitored.reference.sample[names]
    predict = partial(champion_scores, scorer, task=monitored.context.spec.task)
    try:
        reference, current = (attributions(predict, rows, held_out) for rows in (held_out, live[names]))
        return explanation_drift(reference, current, policy, left_out=len(names) - len(reference))
    except NotEnoughError:
        return None


def _text_drift(monitored: MonitoredModel, live: pd.DataFrame) -> list[TextDrift]:
    """Compare the columns of free text that both sides have; those with too few texts are left out."""
    held_out, policy, moved = monitored.reference.sample, monitored.context.spec.monitoring, []
    for name in monitored.texts:
        if name in live.columns and name in held_out.columns and not policy.ignored(name):
            try:
                moved.append(text_drift(held_out[name], live[name], policy))
            except NotEnoughError as error:
                logger.info("%s", error)
    return moved


def _joint_drift(monitored: MonitoredModel, live: pd.DataFrame) -> JointDrift | None:
    """Train a classifier that separates window and reference; None if there are too few rows."""
    held_out = monitored.reference.sample
    names = [name for name in monitored.features if name in live.columns and name in held_out.columns]
    try:
        return joint_drift(held_out, live, names, monitored.context.spec.monitoring)
    except NotEnoughError:
        return None
