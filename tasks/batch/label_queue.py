"""The labelling queue: predictions that people should label, and the labels that they return.

A queue is a file in the workspace. It holds the picked rows, and the reason and the probability of each pick. That
probability is stored with each returned label, whatever the returned file contains.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError, SpecError
from everfit.tasks.batch.label_weights import label_weights
from everfit.tasks.core.records import Record, Window
from everfit.tasks.predictions import label_recording, labels, prediction_log
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.predictions.label_sampling import draw_sample
from everfit.tasks.statistics.columns import label
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.storage.values import LARGEST
from everfit.tasks.turns.context import Context

SHARES = {"uncertain": 0.2, "outlying": 0.15, "drifted": 0.15, "probing": 0.1}
"""The share of a queue for each reason; the rest is picked at random."""
TOO_UNSURE = "abstained"
"""Reason of the rows that the model was too unsure of by its spec: all of them are in the queue, beside the others."""


class QueuedRow(Record):
    """A row of a queue."""

    prediction_id: str
    key: int = Field(description="Hash of the key.")
    reason: str
    inclusion: float


class LabelQueue(Record):
    """The rows that were picked to be labelled by hand."""

    id: str
    model: str
    window: Window
    version: int = Field(description="The champion at that time.")
    candidates: int = Field(description="Rows that could have been picked.")
    classes: tuple[str, ...] = ()
    rows: tuple[QueuedRow, ...]


class LabelConflict(Record):
    """A row with contradicting labels: among people, or between a person and the recorded label."""

    prediction_id: str
    given: tuple[str, ...]
    known: str | None = Field(default=None, description="The recorded label and its origin.")


class ReturnedLabels(Record):
    """The result of recording a file that people filled in."""

    recorded: RecordedLabels
    empty: int = Field(description="Rows without a label.")
    conflicts: tuple[LabelConflict, ...] = Field(description="Rows that were not recorded.")


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
    """Pick predictions to be labelled by hand; the same moment and log give the same rows.

    Args:
        context: The model.
        until: Predictions and labels after this moment are ignored.
        count: How many rows to pick, beside those that the model was too unsure of.
        since: Earliest event time; by default the end of the last queue, or one monitoring window before `until`.
        version: The champion.
        profile: Profile of its training data, by which drift is measured; None if there is none.
        classes: Its classes as text; empty for a regression.

    Returns:
        The queue, stored in the workspace, and its rows with key, event time and features.

    Raises:
        SpecError: The model has no key, so labels can't be joined to predictions.
        DataError: No prediction could be picked.
    """
    spec = context.spec
    if not spec.columns.key:
        raise SpecError(
            f"{spec.name} has no key, so labels can't be joined to predictions; set columns.key in its spec"
        )
    queues = read_queues(context)
    if since is None:
        ends = [queue.window.until for queue in queues if queue.window.until < until]
        since = max(ends, default=until - spec.monitoring.window)
    window = Window(since=since, until=until)
    rows = _candidates(context, window, queues)
    if rows.empty:
        raise DataError(f"no prediction of {window} has a key and no label yet; widen the window with --since")
    unsure = abstained_rows(rows)
    others = rows[~unsure].reset_index(drop=True)
    weights = label_weights(others, spec.task, profile) if len(others) else {}
    identity = json.dumps([spec.name, window.model_dump(mode="json"), count])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    picked = draw_sample(count, weights, SHARES, rows=len(others), seed=int(digest[:12], 16))
    chosen = pd.concat([rows[unsure], others.iloc[picked.rows]], ignore_index=True)
    reasons = [TOO_UNSURE] * int(unsure.sum()) + list(picked.reasons)
    inclusion = [1.0] * int(unsure.sum()) + picked.inclusion.tolist()
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
                chosen[prediction_log.PREDICTION_ID], chosen[KEY], reasons, inclusion, strict=True
            )
        ),
    )
    context.workspace.write(_path(context, queue.id), queue.canonical_json().encode())
    shown = [str(name) for name in chosen if not str(name).startswith("_")]
    return queue, chosen[[prediction_log.PREDICTION_ID, *shown]]


def abstained_rows(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which predictions the model was too unsure of by its spec; shape (rows,)."""
    if prediction_log.ABSTAINED not in rows:
        return np.zeros(len(rows), dtype=np.bool_)
    return rows[prediction_log.ABSTAINED].fillna(False).to_numpy(dtype=np.bool_)


def record_returned(context: Context, returned: Sequence[tuple[str, str | None]], now: datetime) -> ReturnedLabels:
    """Record the labels that people gave to queued rows.

    A row with contradicting labels is returned as a conflict and not recorded.

    Args:
        context: The model.
        returned: Prediction id and label of each row; None for a row without a label.
        now: When these labels became known.

    Raises:
        DataError: A row is in no queue, or a label is unknown to the model; nothing is recorded then.
    """
    spec = context.spec
    queued = {row.prediction_id: (queue, row) for queue in read_queues(context) for row in queue.rows}
    if unknown := [name for name, _ in returned if name not in queued]:
        raise DataError(
            f"prediction {unknown[0]!r} is in no queue of {spec.name!r}; give the file that `everfit label-queue` wrote"
        )
    given: dict[str, list[str]] = {name: [] for name, _ in returned}
    for name, text in returned:
        if text is not None:
            given[name].append(_checked(text, queued[name][0].classes, name))
    table = context.workspace.table(spec.name, "labels")
    keys = pd.Series([queued[name][1].key for name in given], dtype="int64")
    known = {int(row[KEY]): row for row in labels.known_at(table, now, keys).to_dict("records")}
    conflicts, taken = [], []
    for name, texts in given.items():
        distinct = tuple(dict.fromkeys(texts))
        recorded_label = known.get(queued[name][1].key)
        differs = (
            recorded_label is not None and distinct and not _same(recorded_label[labels.LABEL], distinct[0], spec.task)
        )
        if len(distinct) > 1 or differs:
            origin = None if recorded_label is None else recorded_label[labels.ORIGIN]
            shown = None if recorded_label is None else f"{label(recorded_label[labels.LABEL])} ({origin})"
            conflicts.append(LabelConflict(prediction_id=name, given=distinct, known=shown))
        elif distinct:
            taken.append((queued[name], distinct[0]))
    recorded, deleted = RecordedLabels(), read_deleted_keys(context.workspace, spec.name)
    for queue_id in dict.fromkeys(queue.id for (queue, _), _ in taken):
        own = [(row, text) for (queue, row), text in taken if queue.id == queue_id]
        rows = _label_rows(context, own, f"{labels.QUEUE_ORIGIN}{queue_id}", now)
        recorded += label_recording.record_labels(table, rows, deleted)
    return ReturnedLabels(
        recorded=recorded, empty=sum(not texts for texts in given.values()), conflicts=tuple(conflicts)
    )


def read_queues(context: Context) -> list[LabelQueue]:
    """Return all queues of a model, oldest first."""
    folder = context.workspace.file(context.spec.name, "queues")
    filesystem = context.workspace.filesystem
    if not filesystem.exists(folder):
        return []
    names = sorted(str(path).rsplit("/", 1)[-1] for path in filesystem.ls(folder, detail=False))
    return [LabelQueue.recall(json.loads(context.workspace.read(f"{folder}/{name}"))) for name in names]


def _path(context: Context, queue_id: str) -> str:
    return context.workspace.file(context.spec.name, "queues", f"{queue_id}.json")


def _candidates(context: Context, window: Window, queues: Sequence[LabelQueue]) -> pd.DataFrame:
    """Return the predictions that may be picked: each key once, without a label, in no queue yet."""
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


def _same(known: object, text: str, task: str) -> bool:
    return float(str(known)) == float(text) if task == "regression" else str(known) == text


def _checked(given: str, classes: Sequence[str], prediction: str) -> str:
    text = given.strip()
    if not classes:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not abs(number) <= LARGEST:
            raise DataError(
                f"the label of prediction {prediction!r} is {given!r}; it must be a finite number of at most "
                f"{LARGEST:.1e}"
            )
        return repr(number)
    if text in classes:
        return text
    try:
        whole = label(float(text))  # spreadsheets write 1 as 1.0
    except ValueError:
        whole = text
    if whole not in classes:
        raise DataError(f"the label of prediction {prediction!r} is {given!r}; it must be one of {', '.join(classes)}")
    return whole


def _label_rows(context: Context, own: Sequence[tuple[QueuedRow, str]], origin: str, now: datetime) -> pd.DataFrame:
    spec = context.spec
    texts = pd.Series([text for _, text in own])
    return labels.label_rows(
        [row.key for row, _ in own],
        texts.astype("float64") if spec.task == "regression" else texts,
        pd.Series([pd.Timestamp(now)] * len(own)),
        spec.task,
        origin,
        inclusion=pd.Series([row.inclusion for row, _ in own]),
    )
