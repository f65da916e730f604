"""Read from the prediction log, for a look, the times of labelled rows, and features."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.covariate_shift import MOST_ROWS
from everfit.tasks.monitoring.windows import MonitoringWindows
from everfit.tasks.predictions.drawn_answers import labelled_times, read_by_keys
from everfit.tasks.predictions.held_labels import AskedRows, HeldLabels, holding
from everfit.tasks.predictions.label_times import delays_since
from everfit.tasks.predictions.labels import LABEL_TIME
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.turns.context import Context


def labels_of_look(context: Context, windows: MonitoringWindows, event_time: str, until: datetime) -> HeldLabels:
    """Return the table of labels, which holds those of the rows that a look asks for.

    Args:
        context: The model's spec and storage.
        windows: The spans that the look measures.
        event_time: The column of the log with the event time.
        until: The moment of the look.
    """
    spec, table = context.spec, context.workspace.table
    known, newest = table(spec.name, "labels"), windows.window
    labelled = [since for since in (windows.labelled.since, newest.since) if since is not None]
    followed = [] if spec.monitoring.label_delays == "ignore" else [delays_since(spec, until)]
    starts = sorted({min([windows.unseen_since, *labelled, *followed]), min([windows.unseen_since, *labelled])})
    spans = [Window(since=since, until=newest.until) for since in [*starts, *sorted(labelled)[:1]]]
    asked = AskedRows(table(spec.name, "predictions"), event_time, tuple(spans), LABEL_TIME, until)
    return holding(known, asked)


def times_of_labelled(
    context: Context, known: Table, version: int, window: Window, *, event_time: str, until: datetime
) -> "pd.Series[pd.Timestamp]":
    """Return the event times of the rows of a window that a version has answered and whose labels are known.

    If there are very many, these are a draw of them.

    Args:
        context: The model's spec and storage.
        known: The labels.
        version: The version that answered.
        window: The span of event time.
        event_time: The column of the log with the event time.
        until: Only labels that are known at this moment count.
    """
    log, clients = context.workspace.table(context.spec.name, "predictions"), context.spec.monitoring.clients
    return labelled_times(log, known, window, event_time, until, version=version, clients=clients)[0][event_time]


def features_in_log(
    context: Context, version: int, answers: pd.DataFrame, event_time: str, names: Sequence[str]
) -> pd.DataFrame:
    """Return the features of some answers, drawn by a seed, in any order.

    Args:
        context: The model's spec and storage.
        version: The version that answered.
        answers: The answers, with their key and event time, shape (answers, columns).
        event_time: The column of the log with the event time.
        names: The names of the features.
    """
    random = np.random.default_rng(0)
    keys = np.unique(answers[KEY].to_numpy(dtype=np.int64)[random.permutation(len(answers))[:MOST_ROWS]])
    times = answers[event_time]
    window = Window(since=times.min().to_pydatetime(), until=(times.max() + pd.Timedelta(microseconds=1)))
    log = context.workspace.table(context.spec.name, "predictions")
    there = set(log.columns())
    wanted = [KEY, *(name for name in names if name in there)]
    rows = read_by_keys(log, window, event_time, wanted, keys=keys, version=version)
    return rows.drop_duplicates(KEY, keep="last")
