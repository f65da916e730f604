"""Read from the prediction log, for a look, the times of labelled rows, and features."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.covariate_shift import MOST_ROWS
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.labels import known_at
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context


def times_of_labelled(
    context: Context, version: int, window: Window, event_time: str, until: datetime
) -> "pd.Series[pd.Timestamp]":
    """Return the event times of the rows of a window that a version has answered and whose labels are known.

    Args:
        context: The model's spec and storage.
        version: The version that answered.
        window: The span of event time.
        event_time: The column of the log with the event time.
        until: Only labels that are known at this moment count.
    """
    spec, table = context.spec, context.workspace.table
    rows = prediction_log.read(
        table(spec.name, "predictions"), window, event_time, columns=[KEY, event_time], model_version=version
    ).drop_duplicates(KEY)
    known = known_at(table(spec.name, "labels"), until, rows[KEY], clients=spec.monitoring.clients)
    return rows.loc[rows[KEY].isin(known[KEY]), event_time]


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
    keys = set(answers[KEY].to_numpy()[random.permutation(len(answers))[:MOST_ROWS]].tolist())
    times = answers[event_time]
    window = Window(since=times.min().to_pydatetime(), until=(times.max() + pd.Timedelta(microseconds=1)))
    log = context.workspace.table(context.spec.name, "predictions")
    there = set(log.columns())
    wanted = [KEY, prediction_log.ARM, prediction_log.MODEL_VERSION, *(name for name in names if name in there)]
    frames = [
        frame[frame[KEY].isin(keys) & (frame[prediction_log.MODEL_VERSION] == version)]
        for frame in log.batches(window, event_time, wanted)
    ]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=wanted)
    return rows[rows[prediction_log.ARM].isin(prediction_log.ANSWERED)].drop_duplicates(KEY, keep="last")
