"""The evidence area `labels`: rows with mature labels that no turn has learned from."""

from collections.abc import Sequence
from datetime import datetime

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions.labels import known_at
from everfit.tasks.predictions.prediction_log import read as read_predictions
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.triage.signals import LabelsSignal
from everfit.tasks.turns.turn_record import JUDGED, NOTHING_NEW


def count_new_labels(window: MonitoredWindow) -> LabelsSignal:
    """Count the new rows; failed if the labels could not be collected."""
    if window.collected_labels.status == "failed":
        return window.collected_labels
    monitored = window.monitored
    spec, table = monitored.context.spec, monitored.context.workspace.table
    mature = monitored.windows.labelled.until
    learned = learned_until(monitored.turns, spec, monitored.version.trained_until, monitored.until)
    if learned >= mature:
        return LabelsSignal(status="measured", new_rows=0)
    fresh = Window(since=learned, until=mature)
    log, labels = table(spec.name, "predictions"), table(spec.name, "labels")
    return labels_signal(log, labels, fresh, monitored.event_time, monitored.until)


def labels_signal(log: Table, labels: Table, fresh: Window, event_time: str, until: datetime) -> LabelsSignal:
    """Count the answered rows with mature labels that no turn has learned from.

    Args:
        log: The prediction log, with the answers of every version.
        labels: The labels.
        fresh: From the end of the last turn's rows to where labels are mature.
        event_time: The column of the event time.
        until: Labels that came later are not known.
    """
    keys = read_predictions(log, fresh, event_time, columns=[KEY])[KEY].drop_duplicates()
    return LabelsSignal(status="measured", new_rows=len(known_at(labels, until, keys)))


def learned_until(turns: Sequence[Turn], spec: ModelSpec, trained_until: datetime, until: datetime) -> datetime:
    """Return the end of the rows that the last turn before a moment has learned from; failed turns learn nothing."""
    finished = [turn for turn in turns if turn.state in JUDGED | {NOTHING_NEW} and turn.window.until < until]
    ends = [turn.window.until - spec.maturity for turn in finished]
    return max([trained_until, *ends]) if trained_until < until else trained_until
