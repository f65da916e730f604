"""The evidence area `labels`: rows with mature labels that no turn, and that the champion, has learned from."""

from collections.abc import Sequence
from datetime import datetime

from everfit.blocks.clients import ClientsPolicy
from everfit.blocks.metrics import TaskKind
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions.drawn_answers import labelled_times
from everfit.tasks.predictions.labels import LABEL, known_at
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.triage.signals import LabelsSignal
from everfit.tasks.turns.turn_record import JUDGED, NOTHING_NEW


def count_new_labels(window: MonitoredWindow) -> LabelsSignal:
    """Count the new rows; failed if the labels could not be collected."""
    if window.collected_labels.status == "failed":
        return window.collected_labels
    monitored = window.monitored
    spec = monitored.context.spec
    mature = monitored.windows.labelled.until
    trained_until = monitored.version.trained_until
    learned = learned_until(monitored.turns, spec, trained_until, monitored.until)
    if trained_until >= mature:
        return LabelsSignal(status="measured", new_rows=0, unseen_rows=0)
    log, labels = monitored.context.workspace.table(spec.name, "predictions"), monitored.labels
    unseen = Window(since=trained_until, until=mature)
    return labels_signal(
        log,
        labels,
        unseen,
        learned,
        event_time=monitored.event_time,
        until=monitored.until,
        task=spec.task,
        clients=spec.monitoring.clients,
    )


def labels_signal(
    log: Table,
    labels: Table,
    unseen: Window,
    learned: datetime,
    *,
    event_time: str,
    until: datetime,
    task: TaskKind,
    clients: ClientsPolicy | None = None,
) -> LabelsSignal:
    """Count the answered rows with mature labels that no turn, and that the champion, has learned from.

    Args:
        log: The prediction log, with the answers of every version.
        labels: The labels.
        unseen: From the end of the champion's training rows to where labels are mature.
        learned: The end of the rows of the last turn.
        event_time: The column of the event time.
        until: Labels that came later are not known.
        task: The kind of prediction.
        clients: The policy of the labels that count; by default all do.
    """
    labelled, draw = labelled_times(log, labels, unseen, event_time, until, clients=clients)
    known = known_at(labels, until, labelled[KEY], clients=clients)
    labelled = labelled[labelled[KEY].isin(known[KEY])]
    new = int((labelled[event_time] >= learned).sum()) if len(labelled) else 0
    rarest = None if task == "regression" or known.empty else int(known[LABEL].value_counts().min())
    new_rows, unseen_rows, rarest_rows = (
        None if count is None else round(count / draw.share) for count in (new, len(labelled), rarest)
    )
    return LabelsSignal(
        status="measured",
        reason="" if draw.is_all else f"counted {draw.summary(len(labelled))}",
        new_rows=new_rows,
        unseen_rows=unseen_rows,
        rarest_rows=rarest_rows,
        unseen=unseen,
    )


def learned_until(turns: Sequence[Turn], spec: ModelSpec, trained_until: datetime, until: datetime) -> datetime:
    """Return the end of the rows that the last turn before a moment has learned from; failed turns learn nothing."""
    finished = [turn for turn in turns if turn.state in JUDGED | {NOTHING_NEW} and turn.window.until < until]
    ends = [turn.window.until - spec.maturity for turn in finished]
    return max([trained_until, *ends]) if trained_until < until else trained_until
