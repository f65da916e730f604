"""When the labels of answered predictions became known for the first time, for rows of every version."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.client_shares import within_share
from everfit.tasks.predictions.held_labels import held_of
from everfit.tasks.predictions.labels import FILE, LABEL, LABEL_TIME, ORIGIN, QUEUE_ORIGIN, REVISION, SOURCE
from everfit.tasks.storage.tables import KEY, Table

MOST = 20_000
"""Rows that are kept; of more, those whose hashed keys have the smallest remainders."""
_DAY = timedelta(days=1)
_SHORTEST = timedelta(days=60)
"""The shortest span of labels that shows how long labels take."""


def followed(spec: ModelSpec) -> timedelta:
    """Return how long after their event rows are followed: three times the maturity, and at least three days."""
    return 3 * max(spec.maturity, _DAY)


def delays_since(spec: ModelSpec, until: datetime) -> datetime:
    """Return the earliest event time of the rows by which a look tells how long labels take."""
    return until - max(4 * spec.maturity, _SHORTEST)


def is_deep(spec: ModelSpec, newest: datetime, until: datetime) -> bool:
    """Return whether labels are also read of rows that are older than the maturity.

    That is so in one look of half a maturity, so that it costs little.

    Args:
        spec: The model's spec.
        newest: The newest label of the source.
        until: The moment of the look.
    """
    if spec.columns.label_time is None or spec.monitoring.label_delays == "ignore":
        return False
    period = max(spec.maturity / 2, _DAY).total_seconds()
    return until.timestamp() // period > newest.timestamp() // period


def read_label_times(
    log: Table,
    known: Table,
    window: Window,
    event_time: str,
    until: datetime,
    *,
    spec: ModelSpec,
    also: Sequence[str] = (),
) -> pd.DataFrame:
    """Return answered rows with the time at which their label became known.

    Labels from the labelling queue don't count, because they come when a person gives them. Those of a source or file
    without a label time don't either, because their time was made from the maturity.

    Args:
        log: The prediction log.
        known: The labels.
        window: Span of event time.
        event_time: Column of the event time.
        until: Labels that became known later are ignored.
        spec: The model's spec.
        also: Further columns to read, if the log has them.

    Returns:
        One row for each key: `_key`, the event time, the further columns, `_label` and `_label_time`, both null without
        a label.
    """
    most = spec.monitoring.clients.max_share
    rows = _answered(log, window, event_time, also, most)
    left_out = {*spec.monitoring.clients.ignored_labels, *({SOURCE, FILE} if spec.columns.label_time is None else ())}
    frames = []
    if known.exists() and len(rows):
        # A label comes after its event, so those of earlier rows need not be read.
        end = (pd.Timestamp(until) + pd.Timedelta(microseconds=1)).to_pydatetime()
        span, columns = Window(since=window.since, until=end), [KEY, LABEL, LABEL_TIME, ORIGIN, REVISION]
        held = held_of(known, pd.Index(rows[KEY], dtype=np.int64), until)
        if held is not None and window.since is not None:
            held = held[held[LABEL_TIME] >= pd.Timestamp(window.since)]
        for frame in known.batches(span, LABEL_TIME, columns) if held is None else [held[columns]]:
            own = frame[frame[KEY].isin(rows[KEY])]
            frames.append(own[~own[ORIGIN].isin(left_out) & ~own[ORIGIN].str.startswith(QUEUE_ORIGIN)])
    if not frames:
        return rows.assign(**{LABEL: None, LABEL_TIME: pd.Series(pd.NaT, rows.index, "datetime64[us, UTC]")})
    first = pd.concat(frames).sort_values([KEY, LABEL_TIME, REVISION], kind="stable").drop_duplicates(KEY)
    if most < 1:  # a row whose label doesn't count is not one without a label
        counted = within_share(first[KEY], first[ORIGIN], most, {SOURCE, FILE})
        rows = rows[~rows[KEY].isin(first.loc[~counted, KEY])]
    return rows.merge(first[[KEY, LABEL, LABEL_TIME]], on=KEY, how="left", validate="one_to_one")


def _answered(log: Table, window: Window, event_time: str, also: Sequence[str], most: float) -> pd.DataFrame:
    """Return keys, event times and further columns of answered rows, at most about `MOST` of them.

    No client has more than the share `most` of them.
    """
    modulus, kept, count = 1, [], 0
    there = set(log.columns()) if log.exists() else set()
    limited = [prediction_log.CLIENT] if most < 1 and prediction_log.CLIENT in there else []
    own = list(dict.fromkeys([KEY, event_time, *limited, *(name for name in also if name in there)]))
    for frame in log.batches(window, event_time, [*own, prediction_log.ARM]) if there else ():
        answered = frame.loc[frame[prediction_log.ARM].isin(prediction_log.ANSWERED), own]
        kept.append(answered[_chosen(answered, modulus)])
        count += len(kept[-1])
        while count > 2 * MOST:
            modulus *= 2
            kept = [one[_chosen(one, modulus)] for one in kept]
            count = sum(map(len, kept))
    if not kept:
        return pd.DataFrame({KEY: np.empty(0, np.int64), event_time: pd.Series([], dtype="datetime64[us, UTC]")})
    rows = pd.concat(kept).drop_duplicates(KEY, ignore_index=True)
    if not limited:
        return rows
    counted = within_share(rows[KEY], rows[prediction_log.CLIENT], most, prediction_log.OWN_CLIENTS)
    return rows.loc[counted, [name for name in own if name not in limited or name in also]].reset_index(drop=True)


def _chosen(rows: pd.DataFrame, modulus: int) -> npt.NDArray[np.bool_]:
    hashed = rows[KEY].to_numpy(dtype=np.int64).view(np.uint64)
    return np.asarray(hashed % modulus == 0, dtype=np.bool_)
