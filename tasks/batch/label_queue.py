"""The labelling queue: answers that are worth a person's look, and what people have said of them.

A queue is a file in the workspace that says which rows were picked, why, and with which probability; that probability
goes into the labels table with each label that comes back, whatever the filled-in file says.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError, SpecError
from everfit.tasks.core.records import Record, Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.label_sampling import pick
from everfit.tasks.predictions.labels import RecordedLabels
from everfit.tasks.statistics.columns import codes_of, label, numbers_of
from everfit.tasks.statistics.profile import ColumnProfile, Profile
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context

Floats = npt.NDArray[np.float64]

SHARES = {"uncertain": 0.2, "outlying": 0.15, "drifted": 0.15, "probing": 0.1}
"""What part of a queue is picked for what; the rest is picked at random."""


class QueuedRow(Record):
    """A row of a queue."""

    prediction_id: str
    key: int = Field(description="Hash of the key.")
    reason: str
    inclusion: float


class LabelQueue(Record):
    """Which rows were picked to be labelled by hand."""

    id: str
    model: str
    window: Window
    version: int = Field(description="The champion at that time.")
    candidates: int = Field(description="Rows that could have been picked.")
    classes: tuple[str, ...] = ()
    rows: tuple[QueuedRow, ...]


class Conflict(Record):
    """A row that people, or a person and what is known, say different things of."""

    prediction_id: str
    said: tuple[str, ...]
    known: str | None = Field(default=None, description="The label that is on record, and its origin.")


class ReadBack(Record):
    """The outcome of a file that people filled in."""

    recorded: RecordedLabels
    empty: int = Field(description="Rows that nobody has labelled.")
    conflicts: tuple[Conflict, ...] = Field(description="Rows that were not taken.")


def make_queue(
    context: Context,
    until: datetime,
    count: int,
    *,
    since: datetime | None,
    version: int,
    profile: Profile | None,
    classes: Sequence[str],
) -> tuple[LabelQueue, pd.DataFrame]:
    """Pick answers to be labelled by hand; the same moment and the same log give the same ones.

    Args:
        context: The model.
        until: Only data known at this moment counts.
        count: How many.
        since: Answers to events from here on; by default from the end of the last queue, or a monitoring window back.
        version: The champion.
        profile: Of what it was trained on, to measure drift; None if there is none.
        classes: Of the model as text; none for a regression.

    Returns:
        The queue, kept in the workspace, and its rows with key, event time and features.

    Raises:
        SpecError: the model has no key, so no label would find its prediction.
        DataError: no answer could be picked.
    """
    spec = context.spec
    if not spec.columns.key:
        raise SpecError(f"{spec.name} has no key, so no label can find its prediction; give its spec columns.key")
    queues = read_queues(context)
    if since is None:
        ends = [queue.window.until for queue in queues if queue.window.until < until]
        since = max(ends, default=until - spec.monitoring.window)
    window = Window(since=since, until=until)
    rows = _candidates(context, window, queues)
    if rows.empty:
        raise DataError(f"no answer of {window} has a key and no label yet; widen the window with --since")
    weights = _weights(rows, spec.task, profile)
    identity = json.dumps([spec.name, window.model_dump(mode="json"), count])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    found = pick(count, weights, SHARES, rows=len(rows), seed=int(digest[:12], 16))
    chosen = rows.iloc[found.rows].reset_index(drop=True)
    queue = LabelQueue(
        id=f"{until:%Y%m%dT%H%M%S}-{digest[:8]}",
        model=spec.name,
        window=window,
        version=version,
        candidates=len(rows),
        classes=tuple(classes),
        rows=tuple(
            QueuedRow(prediction_id=prediction, key=int(key), reason=reason, inclusion=round(float(chance), 12))
            for prediction, key, reason, chance in zip(
                chosen[prediction_log.PREDICTION_ID], chosen[KEY], found.reasons, found.inclusion, strict=True
            )
        ),
    )
    context.workspace.write(_path(context, queue.id), queue.canonical_json().encode())
    shown = [str(name) for name in chosen if not str(name).startswith("_")]
    return queue, chosen[[prediction_log.PREDICTION_ID, *shown]]


def read_back(context: Context, said: Sequence[tuple[str, str | None]], now: datetime) -> ReadBack:
    """Take what people have said of queued rows into the labels table.

    A row of which they say different things, or other than what is known, is shown and not taken.

    Args:
        context: The model.
        said: Prediction and label of each answer, the label empty where nobody gave one.
        now: When these labels became known.

    Raises:
        DataError: a row is in no queue, or a label is none that the model knows; nothing is taken then.
    """
    spec = context.spec
    queued = {row.prediction_id: (queue, row) for queue in read_queues(context) for row in queue.rows}
    if unknown := [name for name, _ in said if name not in queued]:
        raise DataError(f"prediction {unknown[0]!r} is in no queue of {spec.name!r}; read the file that was written")
    told: dict[str, list[str]] = {name: [] for name, _ in said}
    for name, given in said:
        if given is not None:
            told[name].append(_checked(given, queued[name][0].classes, name))
    table = context.workspace.table(spec.name, "labels")
    keys = pd.Series([queued[name][1].key for name in told], dtype="int64")
    known = {int(row[KEY]): row for row in labels.known_at(table, now, keys).to_dict("records")}
    conflicts, taken = [], []
    for name, texts in told.items():
        distinct = tuple(dict.fromkeys(texts))
        before = known.get(queued[name][1].key)
        differs = before is not None and distinct and not _same(before[labels.LABEL], distinct[0], spec.task)
        if len(distinct) > 1 or differs:
            shown = None if before is None else f"{label(before[labels.LABEL])} ({before[labels.ORIGIN]})"
            conflicts.append(Conflict(prediction_id=name, said=distinct, known=shown))
        elif distinct:
            taken.append((queued[name], distinct[0]))
    recorded = RecordedLabels()
    for queue_id in dict.fromkeys(queue.id for (queue, _), _ in taken):
        own = [(row, given) for (queue, row), given in taken if queue.id == queue_id]
        recorded += labels.record(table, _label_rows(context, own, f"{labels.QUEUE_ORIGIN}{queue_id}", now))
    return ReadBack(recorded=recorded, empty=sum(not given for given in told.values()), conflicts=tuple(conflicts))


def read_queues(context: Context) -> list[LabelQueue]:
    """All queues of a model, oldest first."""
    folder = context.workspace.file(context.spec.name, "queues")
    filesystem = context.workspace.filesystem
    if not filesystem.exists(folder):
        return []
    names = sorted(str(path).rsplit("/", 1)[-1] for path in filesystem.ls(folder, detail=False))
    return [LabelQueue.recall(json.loads(context.workspace.read(f"{folder}/{name}"))) for name in names]


def _path(context: Context, queue_id: str) -> str:
    return context.workspace.file(context.spec.name, "queues", f"{queue_id}.json")


def _candidates(context: Context, window: Window, queues: Sequence[LabelQueue]) -> pd.DataFrame:
    """The answers that may be picked: each key once, with a key, without a label, in no queue yet."""
    spec = context.spec
    event_time = spec.columns.event_time or "event_time"
    log = context.workspace.table(spec.name, "predictions")
    rows = prediction_log.read(log, window, event_time)
    if rows.empty:
        return rows
    rows = rows[rows[[name for name in spec.columns.key if name in rows]].notna().all(axis=1)]
    rows = rows.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")
    known = labels.known_at(context.workspace.table(spec.name, "labels"), window.until, rows[KEY])
    taken = {row.key for queue in queues for row in queue.rows}
    rows = rows[~rows[KEY].isin(known[KEY]) & ~rows[KEY].isin(taken)]
    return rows.sort_values([event_time, KEY], ignore_index=True)


def _weights(rows: pd.DataFrame, task: str, profile: Profile | None) -> dict[str, Floats]:
    """How much each row is worth looking at, for each reason."""
    outlier = rows[prediction_log.OUTLIER].to_numpy(dtype=np.float64, na_value=np.nan)
    flags = rows[prediction_log.FLAG].notna() if prediction_log.FLAG in rows else pd.Series(False, index=rows.index)
    return {
        "uncertain": _uncertainty(rows, task) ** 2,
        "outlying": np.asarray(np.nan_to_num(np.clip((outlier - 0.9) / 0.1, 0, 1)) ** 2, dtype=np.float64),
        "drifted": np.zeros(len(rows)) if profile is None else drifted(rows, profile) ** 2,
        "probing": np.asarray(flags, dtype=np.float64),
    }


def _uncertainty(rows: pd.DataFrame, task: str) -> Floats:
    """How near the two likeliest classes are, from 0 to 1; a regression doesn't say."""
    if task == "binary":
        score = rows[prediction_log.SCORE].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(np.nan_to_num(1 - np.abs(2 * score - 1)), dtype=np.float64)
    if task == "multiclass":
        ordered = np.sort(np.stack([np.asarray(each, dtype=np.float64) for each in rows[prediction_log.PROBABILITIES]]))
        return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))
    return np.zeros(len(rows))


def drifted(rows: pd.DataFrame, profile: Profile) -> Floats:
    """How much more frequent values like a row's are now than in training: the largest log ratio of its columns.

    Args:
        rows: Answers of now.
        profile: Of what the champion was trained on.
    """
    most = np.zeros(len(rows))
    for column in profile.columns:
        if column.role == "feature" and column.name in rows:
            cells = _cells(rows[column.name], column)
            before = np.append(np.asarray(column.cells, dtype=np.float64), column.missing)
            now = np.bincount(cells, minlength=len(before)).astype(np.float64)
            ratio = (now + 0.5) / (len(rows) + 1) / ((before + 0.5) / (column.rows + 1))
            most = np.maximum(most, np.log(ratio)[cells])
    return most


def _cells(values: "pd.Series[Any]", column: ColumnProfile) -> npt.NDArray[np.int64]:
    """The cell of the profile in which each value lies; the last one is of missing values."""
    missing = len(column.cells)
    if column.kind == "numeric":
        numbers = numbers_of(values)[0]
        places = np.searchsorted(np.asarray(column.edges), numbers, side="right")
        return np.where(np.isnan(numbers), missing, places.clip(0, missing - 1)).astype(np.int64)
    codes, names = codes_of(values)
    places_of: Mapping[str, int] = {name: place for place, name in enumerate(column.categories)}
    other, unseen = missing - 2, missing - 1
    known = set(column.others)
    places = np.array([*(places_of.get(name, other if name in known else unseen) for name in names), missing])
    return np.asarray(places[codes], dtype=np.int64)


def _same(known: object, said: str, task: str) -> bool:
    return float(str(known)) == float(said) if task == "regression" else str(known) == said


def _checked(given: str, classes: Sequence[str], prediction: str) -> str:
    said = given.strip()
    if not classes:
        try:
            number = float(said)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise DataError(f"the label of prediction {prediction!r} is {given!r}; it must be a finite number")
        return repr(number)
    if said in classes:
        return said
    try:
        whole = label(float(said))  # spreadsheets write 1 as 1.0
    except ValueError:
        whole = said
    if whole not in classes:
        raise DataError(f"the label of prediction {prediction!r} is {given!r}; it must be one of {', '.join(classes)}")
    return whole


def _label_rows(context: Context, own: Sequence[tuple[QueuedRow, str]], origin: str, now: datetime) -> pd.DataFrame:
    spec = context.spec
    said = pd.Series([given for _, given in own])
    return labels.label_rows(
        [row.key for row, _ in own],
        said.astype("float64") if spec.task == "regression" else said,
        pd.Series([pd.Timestamp(now)] * len(own)),
        spec.task,
        origin,
        inclusion=pd.Series([row.inclusion for row, _ in own]),
    )
