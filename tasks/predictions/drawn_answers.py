"""Read a draw of a window's answers, part by part, and the keys of labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.clients import ClientsPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import current_spread
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.key_draw import MOST, MOST_KEYS, KeyDraw
from everfit.tasks.predictions.labels import LABEL_TIME, ORIGIN, known_at
from everfit.tasks.storage.table_parts import TablePart, table_parts
from everfit.tasks.storage.tables import KEY, Table

Keys = npt.NDArray[np.int64]

_DENSER = 2
"""Labelled rows are drawn by themselves where that gives so many times as many of them."""


@dataclass(frozen=True)
class _Answers:
    """The request that all parts of a log share.

    Attributes:
        log: The prediction log.
        window: Span of event time.
        event_time: Column of the event time.
        columns: Columns to read, with those that rows are chosen by.
        draw: The keys to return.
        keys: Further keys to return.
        version: Version that answered; None for any.
        arms: Arms to return.
        with_requests: Whether to return the requests in the draw as well, whatever the keys of their rows.
    """

    log: Table
    window: Window
    event_time: str
    columns: tuple[str, ...]
    draw: KeyDraw
    keys: "pd.Index[int]"
    version: int | None
    arms: Sequence[prediction_log.Arm]
    with_requests: bool = False

    @classmethod
    def of(
        cls,
        log: Table,
        window: Window,
        event_time: str,
        columns: Sequence[str],
        *,
        draw: KeyDraw,
        keys: Keys | None,
        version: int | None,
        arms: Sequence[prediction_log.Arm] = prediction_log.ANSWERED,
        with_requests: bool = False,
    ) -> "_Answers":
        """Return the request for some columns; those by which rows are chosen are read with them."""
        choosing = [prediction_log.ARM, prediction_log.MODEL_VERSION]
        choosing += [prediction_log.PREDICTED_AT] if with_requests else []
        wanted = tuple(dict.fromkeys([*columns, *choosing]))
        further = pd.Index([] if keys is None else keys, dtype=np.int64)
        return cls(log, window, event_time, wanted, draw, further, version, arms, with_requests)


def draw_of(log: Table, window: Window, most: int | None) -> KeyDraw:
    """Return the draw that leaves about so many rows of a window of a log.

    Args:
        log: The prediction log.
        window: Span of event time.
        most: The number of rows; None for all.
    """
    if most is None:
        return KeyDraw()
    return KeyDraw.of(sum(part.rows for part in table_parts(log, window)), most)


def read_drawn(
    log: Table,
    window: Window,
    event_time: str,
    columns: Sequence[str],
    *,
    draw: KeyDraw,
    version: int | None = None,
    keys: Keys | None = None,
    arms: Sequence[prediction_log.Arm] = prediction_log.ANSWERED,
    with_requests: bool = False,
) -> pd.DataFrame:
    """Read the answers of a window whose keys are in a draw.

    Args:
        log: The prediction log.
        window: Span of event time.
        event_time: Column of the event time.
        columns: Columns to read, the key among them.
        draw: The draw; the whole log is read as `prediction_log.read` does.
        version: Version that answered; by default any.
        keys: Further keys to return.
        arms: Arms to return; by default those that were returned to clients.
        with_requests: Whether to return the requests in the draw as well (`drawn_requests`).

    Returns:
        The answers in order of event time, and of their id or key.
    """
    if draw.is_all:
        return prediction_log.read(log, window, event_time, columns=columns, arms=arms, model_version=version)
    rows = _read_parts(
        _Answers.of(
            log,
            window,
            event_time,
            columns,
            draw=draw,
            keys=keys,
            version=version,
            arms=arms,
            with_requests=with_requests,
        )
    )
    second = prediction_log.PREDICTION_ID if prediction_log.PREDICTION_ID in columns else KEY
    return rows[list(columns)].sort_values([event_time, second], ignore_index=True, kind="stable")


def drawn_requests(rows: pd.DataFrame, draw: KeyDraw) -> npt.NDArray[np.bool_]:
    """Return which rows belong to a request in a draw, by the moment of the prediction; shape (rows,).

    Args:
        rows: Rows of the log with `_predicted_at`, which all rows of a request share.
        draw: The draw.
    """
    if draw.is_all:
        return np.ones(len(rows), dtype=np.bool_)
    return draw.chosen(rows[prediction_log.PREDICTED_AT].dt.as_unit("us").astype("int64"))


def read_by_keys(
    log: Table, window: Window, event_time: str, columns: Sequence[str], *, keys: Keys, version: int
) -> pd.DataFrame:
    """Read a version's answers with some keys, in the order of the log.

    Args:
        log: The prediction log.
        window: Span of event time.
        event_time: Column of the event time.
        columns: Columns to read, the key among them.
        keys: The keys.
        version: Version that answered.
    """
    return _read_parts(_Answers.of(log, window, event_time, columns, draw=KeyDraw(0.0), keys=keys, version=version))


def _read_parts(asked: _Answers) -> pd.DataFrame:
    parts = table_parts(asked.log, asked.window)
    read = [frame for frame in current_spread()(_read_part, asked, parts) if len(frame)]
    return pd.concat(read, ignore_index=True) if read else pd.DataFrame(columns=list(asked.columns))


def _read_part(asked: _Answers, part: TablePart) -> pd.DataFrame:
    frames = []
    for chunk in part.batches(asked.log, asked.window, asked.event_time, asked.columns):
        chosen = asked.draw.chosen(chunk[KEY]) | (asked.keys.get_indexer(pd.Index(chunk[KEY])) >= 0)
        if asked.with_requests:
            chosen |= drawn_requests(chunk, asked.draw)
        rows = chunk[chosen & chunk[prediction_log.ARM].isin(asked.arms)]
        if asked.version is not None:
            rows = rows[rows[prediction_log.MODEL_VERSION] == asked.version]
        frames.append(rows)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def keys_of_unsure(log: Table, window: Window, event_time: str) -> Keys:
    """Return the keys of a window with an answer that was too unsure by the spec.

    Args:
        log: The prediction log.
        window: Span of event time.
        event_time: Column of the event time.
    """
    if prediction_log.ABSTAINED not in log.columns():
        return np.empty(0, dtype=np.int64)
    found = current_spread()(_unsure_of_part, (log, window, event_time), table_parts(log, window))
    return pd.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))


def _unsure_of_part(asked: tuple[Table, Window, str], part: TablePart) -> Keys:
    log, window, event_time = asked
    found = [np.empty(0, dtype=np.int64)]
    for chunk in part.batches(log, window, event_time, [KEY, prediction_log.ABSTAINED]):
        unsure = chunk[prediction_log.ABSTAINED].fillna(False).to_numpy(dtype=np.bool_)
        found.append(chunk.loc[unsure, KEY].to_numpy(dtype=np.int64))
    return np.concatenate(found)


def denser_draw(known: Table, window: Window, draw: KeyDraw, most: int | None) -> KeyDraw | None:
    """Return a draw that leaves more labelled rows, because few rows have a label; None where it would not.

    Args:
        known: The labels.
        window: Span of event time of the rows; their labels came later.
        draw: The draw of the rows.
        most: About how many labels to draw.
    """
    if draw.is_all:
        return None
    latest = pd.Timestamp.max.floor("D").tz_localize("UTC").to_pydatetime()
    there = sum(part.rows for part in table_parts(known, Window(since=window.since, until=latest)))
    denser = KeyDraw.of(there, most)
    return denser if denser.share >= _DENSER * draw.share else None


def labelled_keys(known: Table, until: datetime, draw: KeyDraw, clients: ClientsPolicy | None = None) -> Keys:
    """Return the keys of a draw that have a label, in no order.

    Args:
        known: The labels.
        until: Labels that became known later are not known.
        draw: The draw.
        clients: The policy of the labels that count; by default all do.
    """
    ignored = frozenset() if clients is None else frozenset(clients.ignored_labels)
    # The window excludes its end, but a label that becomes known at exactly that moment counts.
    span = Window(until=(pd.Timestamp(until) + pd.Timedelta(microseconds=1)).to_pydatetime())
    parts = current_spread()(_keys_of_part, (known, span, draw, ignored), table_parts(known, span))
    return pd.unique(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


def _keys_of_part(asked: tuple[Table, Window, KeyDraw, frozenset[str]], part: TablePart) -> Keys:
    known, span, draw, ignored = asked
    found = [np.empty(0, dtype=np.int64)]
    for chunk in part.batches(known, span, LABEL_TIME, [KEY, ORIGIN]):
        counted = chunk.loc[~chunk[ORIGIN].isin(ignored), KEY].to_numpy(dtype=np.int64)
        found.append(counted[draw.chosen(counted)])
    return pd.unique(np.concatenate(found))  # numpy's own takes ten times as long


def labelled_times(
    log: Table,
    known: Table,
    window: Window,
    event_time: str,
    until: datetime,
    *,
    version: int | None = None,
    clients: ClientsPolicy | None = None,
) -> tuple[pd.DataFrame, KeyDraw]:
    """Return the keys and event times of the answers in a window whose labels are known.

    Args:
        log: The prediction log.
        known: The labels.
        window: Span of event time.
        event_time: Column of the event time.
        until: Labels that became known later are not known.
        version: Version that answered; by default any.
        clients: The policy of the labels that count; by default all do.

    Returns:
        `_key` and the event time, one row for each key; and of which keys these are: of all unless there are very many
        answers and labels. Then the share that `clients` allows each client is not looked at.
    """
    columns, draw = [KEY, event_time], KeyDraw()
    if draw_of(log, window, MOST).is_all:
        rows = prediction_log.read(log, window, event_time, columns=columns, model_version=version)
        rows = rows.drop_duplicates(KEY, keep="last")
        return rows[rows[KEY].isin(known_at(known, until, rows[KEY], clients=clients)[KEY])], draw
    draw = denser_draw(known, window, KeyDraw(0.0), MOST) or KeyDraw()
    keys = labelled_keys(known, until, draw, clients)
    rows = read_drawn(log, window, event_time, columns, draw=KeyDraw(0.0), version=version, keys=keys)
    return rows.drop_duplicates(KEY, keep="last"), draw


def unmatched(known: Table, log: Table, until: datetime) -> int:
    """Return the number of labelled keys without a prediction, which are kept because it may still arrive.

    If there are more than ten million labels, those of a draw are counted.

    Args:
        known: The labels.
        log: The prediction log.
        until: Labels that became known later are not known.
    """
    draw = KeyDraw.of(sum(part.rows for part in table_parts(known)), MOST_KEYS)
    keys, parts = pd.Index(labelled_keys(known, until, draw)), table_parts(log)
    answered = np.zeros(len(keys), dtype=np.bool_)
    for places in current_spread()(_places_of_part, (log, keys), parts):
        answered[places] = True
    return round(int((~answered).sum()) / draw.share)


def _places_of_part(asked: "tuple[Table, pd.Index[int]]", part: TablePart) -> Keys:
    """Return the places of the keys that a part has."""
    log, keys = asked
    found = [keys.get_indexer(pd.Index(chunk[KEY])) for chunk in part.batches(log, None, None, [KEY])]
    places = pd.unique(np.concatenate([np.empty(0, dtype=np.intp), *found]))
    return np.asarray(places[places >= 0], dtype=np.int64)
