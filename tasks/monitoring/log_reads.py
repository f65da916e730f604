"""Read from the prediction log, for a look, the times of labelled rows, and features."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.covariate_shift import MOST_ROWS
from everfit.tasks.predictions.drawn_answers import labelled_times, read_by_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context


def times_of_labelled(
    context: Context, version: int, window: Window, event_time: str, until: datetime
) -> "pd.Series[pd.Timestamp]":
    """Return the event times of the rows of a window that a version has answered and whose labels are known.

    If there are very many, these are a draw of them.

    Args:
        context: The model's spec and storage.
        version: The version that answered.
        window: The span of event time.
        event_time: The column of the log with the event time.
        until: Only labels that are known at this moment count.
    """
    spec, table = context.spec, context.workspace.table
    log, known = table(spec.name, "predictions"), table(spec.name, "labels")
    clients = spec.monitoring.clients
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
