"""The evidence area `diagnosis`: the champion's labelled rows of the window against those of its hold-out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.batch.label_requests import keep_request, request_of
from everfit.tasks.core.loss_diagnosis import RowLoss
from everfit.tasks.core.records import Window
from everfit.tasks.diagnosis.diagnosis import Diagnosed, diagnose
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows, row_loss_of, row_losses
from everfit.tasks.diagnosis.time_columns import time_columns
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.unused_values import unused_values
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.triage.diagnosis_signal import DiagnosisSignal
from everfit.tasks.triage.quality_loss import remember
from everfit.tasks.triage.quality_signals import QualitySignal


def diagnose_window(window: MonitoredWindow) -> DiagnosisSignal:
    """Diagnose a window whose quality may be lost, and ask the labelling queue for what would help."""
    monitored = window.monitored
    found = diagnosed(monitored, monitored.labelled_window)
    ask_for_labels(monitored, monitored.labelled_window, found)
    return DiagnosisSignal(status="measured", diagnosis=found.diagnosis)


def ask_for_labels(monitored: MonitoredModel, window: Window, found: Diagnosed) -> str:
    """Ask the labelling queue for labels to check and for rows never seen, and return in words for what.

    Args:
        monitored: The monitored model.
        window: The event times that were diagnosed.
        found: The diagnosis.
    """
    context = monitored.context
    if not context.spec.columns.key:
        return ""  # nobody could return a label
    request = request_of(found, window, monitored.champion.version)
    keep_request(context.workspace, context.spec.name, request)
    return request.summary


def may_be_lost(quality: QualitySignal, monitored: MonitoredModel) -> bool:
    """Return whether triage could find a loss: it finds none while the newest one is within half of the bound.

    Args:
        quality: On mature labels.
        monitored: The monitored model.
    """
    newest = remember(quality)
    if not quality.measured or newest is None or quality.baseline is None:
        return False
    bound = monitored.context.spec.monitoring.loss_bound(quality.baseline.value, quality.baseline.chance)
    return newest.loss > bound / 2


def diagnosed(monitored: MonitoredModel, window: Window) -> Diagnosed:
    """Diagnose the change of the loss from the champion's hold-out to a window.

    Args:
        monitored: The monitored model.
        window: The span of event time.

    Raises:
        NotEnoughError: There are too few labelled rows.
    """
    spec = monitored.context.spec
    answers = monitored.answers_with_features(window).with_labels()
    if answers.rows.empty:
        raise NotEnoughError(
            f"version {monitored.champion.version} answered no row in {window} that has a label; choose another "
            "window, or record labels by `everfit labels`"
        )
    holdout = monitored.holdout.among(answers.every_class)
    answers = answers.among(holdout.every_class)
    columns = tuple(dict.fromkeys((*monitored.features, *monitored.texts)))
    following = time_columns(holdout.rows, answers.rows, holdout.event_time, columns)
    shown = [name for name in columns if name in answers.rows]
    loss = row_loss_of(spec.metric, spec.task)
    labelled = _labelled(answers, loss)
    unused = unused_values(monitored, window, labelled.rows)
    evidence = DiagnosisEvidence.sampled(
        _labelled(holdout, loss),
        replace(labelled, rows=pd.concat([labelled.rows, unused], axis=1)),
        [name for name in (*shown, *_beside(spec.columns.protected, columns)) if name not in following],
        texts=spec.columns.text,
        unused=[str(name) for name in unused],
        row_loss=loss,
    )
    left_out = [f"{name} follows the event time, so it differs by itself" for name in following]
    left_out += [f"{name} is not in the prediction log" for name in columns if name not in answers.rows]
    return diagnose(evidence, spec.task, left_out=left_out)


def _beside(more: Sequence[str], columns: Sequence[str]) -> list[str]:
    return [name for name in more if name not in columns]


def _labelled(answers: LabelledPredictions, loss: RowLoss) -> LabelledRows:
    inclusion = answers.inclusion
    weights: npt.NDArray[np.float64] | None = None if inclusion is None else 1 / inclusion
    truth, scores = answers.truth, answers.scores
    losses = row_losses(truth, scores, loss)
    return LabelledRows(answers.rows, losses, answers.days, answers.entities, weights, truth, scores)
