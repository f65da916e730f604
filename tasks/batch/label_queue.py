"""The labelling queue: predictions that people should label.

A queue is a file in the workspace. It holds the picked rows, and the reason and the probability of each pick. That
probability is stored with each returned label, whatever the returned file contains.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError, SpecError
from everfit.tasks.batch.label_requests import CONTRADICTING, SUSPECT, UNSEEN, LabelRequest, read_requests
from everfit.tasks.batch.label_weights import label_weights, never_seen
from everfit.tasks.batch.prelabels import said_before
from everfit.tasks.core.records import Record, Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.drawn_answers import draw_of, keys_of_unsure, read_drawn
from everfit.tasks.predictions.key_draw import KeyDraw, most_rows
from everfit.tasks.predictions.label_sampling import ESTIMATE, draw_sample
from everfit.tasks.statistics.label_need import FLOOR, LabelNeed
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context

SHARES = {"uncertain": 0.2, "outlying": 0.15, "drifted": 0.15, "probing": 0.1, UNSEEN: 0.2}
"""The share of a queue for each reason; the rest is picked at random."""
_ESTIMATED = 1 - FLOOR
"""The share of a queue for an estimate that goes where the estimate needs it; the rest is the same for all rows."""
_REASON = "_reason"
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
    half_width: float | None = Field(
        default=None,
        exclude_if=lambda width: width is None,
        description="Half of the interval to which the primary metric is known with these labels.",
    )
    rows: tuple[QueuedRow, ...]


@dataclass(frozen=True)
class Basis:
    """The part of the champion by which rows are picked.

    Attributes:
        version: The champion.
        classes: Its classes as text; empty for a regression.
        profile: Profile of its training data, by which drift is measured; None if there is none.
        holdout: Rows of its hold-out, by which rows never seen are found; None if there are none.
        needs: How many labels an estimate needs, and of which rows; None if rows are picked for what they teach.
    """

    version: int
    classes: tuple[str, ...] = ()
    profile: Profile | None = None
    holdout: pd.DataFrame | None = None
    needs: Callable[[pd.DataFrame], LabelNeed] | None = None


def make_queue(
    context: Context, until: datetime, count: int, *, since: datetime | None, basis: Basis
) -> tuple[LabelQueue, pd.DataFrame]:
    """Pick predictions to be labelled by hand; the same moment and log give the same rows.

    Args:
        context: The model.
        until: Predictions and labels after this moment are ignored.
        count: How many rows to pick, beside those that the model was too unsure of and those whose label a diagnosis
            doubts. If an estimate needs rows, their number is picked.
        since: Earliest event time; by default the end of the last queue, or one monitoring window before `until`.
        basis: The champion.

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
    taken = {row.key for queue in queues for row in queue.rows}
    asked = [one for one in read_requests(context.workspace, spec.name) if one.window.until <= until]
    (rows, draw), doubted = _candidates(context, window, taken), _doubted(context, asked, until, taken, count)
    if rows.empty and doubted.empty:
        raise DataError(f"no prediction of {window} has a key and no label yet; widen the window with --since")
    unsure = abstained_rows(rows)
    others = rows[~unsure].reset_index(drop=True)
    weights = _weights(others, context, basis, asked) if len(others) else {}
    need = None if basis.needs is None or others.empty else basis.needs(others)
    shares = SHARES
    if need is not None:
        count, weights, shares = need.rows, {ESTIMATE: need.weights}, {ESTIMATE: _ESTIMATED}
    identity = json.dumps([spec.name, window.model_dump(mode="json"), count])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    picked = draw_sample(count, weights, shares, rows=len(others), seed=int(digest[:12], 16))
    parts = [part for part in (doubted, rows[unsure], others.iloc[picked.rows]) if len(part)]
    chosen = pd.concat(parts, ignore_index=True)
    reasons = [*doubted[_REASON], *[TOO_UNSURE] * int(unsure.sum()), *picked.reasons]
    inclusion = [*doubted[labels.INCLUSION], *[1.0] * int(unsure.sum()), *(draw.share * picked.inclusion).tolist()]
    queue = LabelQueue(
        id=f"{until:%Y%m%dT%H%M%S}-{digest[:8]}",
        model=spec.name,
        window=window,
        version=basis.version,
        candidates=int(unsure.sum()) + round(len(others) / draw.share),
        classes=basis.classes,
        half_width=None if need is None else need.half_width,
        rows=tuple(
            QueuedRow(prediction_id=prediction, key=int(key), reason=reason, inclusion=round(float(chance), 12))
            for prediction, key, reason, chance in zip(
                chosen[prediction_log.PREDICTION_ID], chosen[KEY], reasons, inclusion, strict=True
            )
        ),
    )
    context.workspace.write(_path(context, queue.id), queue.canonical_json().encode())
    shown = [str(name) for name in chosen if not str(name).startswith("_")]
    frame = chosen[[prediction_log.PREDICTION_ID, *shown]].copy()
    if spec.monitoring.label_queue.prelabels:
        for name, values in said_before(chosen, reasons, spec.task, basis.classes).items():
            frame[name] = pd.Series(values, index=frame.index, dtype="object")
    return queue, frame


def _weights(
    rows: pd.DataFrame, context: Context, basis: Basis, asked: Sequence[LabelRequest]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the weight of each row for each reason; rows never seen count if the newest diagnosis asks for them."""
    weights = label_weights(rows, context.spec.task, basis.profile)
    own = [request for request in asked if request.version == basis.version]
    if own and own[-1].unseen and basis.holdout is not None:
        weights[UNSEEN] = never_seen(rows, basis.holdout, context.spec.columns.text, basis.profile)
    return weights


def _doubted(
    context: Context, asked: Sequence[LabelRequest], until: datetime, taken: set[int], most: int
) -> pd.DataFrame:
    """Return the predictions whose labels diagnoses doubt, with the reason and the probability of their label."""
    spec = context.spec
    reasons: dict[int, str] = {}
    for request in asked[::-1]:
        for reason, keys in ((SUSPECT, request.suspects), (CONTRADICTING, request.contradicting)):
            for key in keys:
                if key not in taken:
                    reasons.setdefault(key, reason)
    event_time = spec.columns.event_time or "event_time"
    nothing = pd.DataFrame({KEY: [], prediction_log.PREDICTION_ID: [], _REASON: [], labels.INCLUSION: []})
    if not reasons:
        return nothing
    spans = [request.window for request in asked]
    sinces = [span.since for span in spans if span.since is not None]
    since = min(sinces) if len(sinces) == len(spans) else None
    window = Window(since=since, until=max(span.until for span in spans))
    log = context.workspace.table(spec.name, "predictions")
    if not log.exists():
        return nothing
    doubted = np.array(list(reasons), dtype=np.int64)
    rows = read_drawn(log, window, event_time, list(log.columns()), draw=KeyDraw(0.0), keys=doubted)
    rows = rows.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")
    known = labels.known_at(context.workspace.table(spec.name, "labels"), until, rows[KEY])
    rows = rows.merge(known[[KEY, labels.INCLUSION]], on=KEY, how="inner")
    rows[_REASON] = rows[KEY].map(reasons)
    rows[labels.INCLUSION] = rows[labels.INCLUSION].fillna(1.0)
    order = rows[_REASON].map({SUSPECT: 0, CONTRADICTING: 1})
    rows = rows.assign(_place=order).sort_values(["_place", event_time, KEY]).drop(columns="_place")
    return rows.head(most).reset_index(drop=True)


def abstained_rows(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which predictions the model was too unsure of by its spec; shape (rows,)."""
    if prediction_log.ABSTAINED not in rows:
        return np.zeros(len(rows), dtype=np.bool_)
    return rows[prediction_log.ABSTAINED].fillna(False).to_numpy(dtype=np.bool_)


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


def _candidates(context: Context, window: Window, taken: set[int]) -> tuple[pd.DataFrame, KeyDraw]:
    """Return the predictions that may be picked: each key once, without a label, in no queue yet.

    If there are very many, those of a draw of the keys are returned, and with them all that the model was too unsure
    of. The draw is returned too: it is a part of the probability that a row is picked.
    """
    spec = context.spec
    event_time = spec.columns.event_time or "event_time"
    log = context.workspace.table(spec.name, "predictions")
    if not log.exists():
        return pd.DataFrame(), KeyDraw()
    columns = list(log.columns())
    draw = draw_of(log, window, most_rows(len(columns)))
    unsure = None if draw.is_all else keys_of_unsure(log, window, event_time)
    rows = read_drawn(log, window, event_time, columns, draw=draw, keys=unsure)
    if rows.empty:
        return rows, draw
    rows = rows[rows[[name for name in spec.columns.key if name in rows]].notna().all(axis=1)]
    rows = rows.sort_values(prediction_log.PREDICTED_AT, kind="stable").drop_duplicates(KEY, keep="last")
    rows = rows[draw.chosen(rows[KEY]) | abstained_rows(rows)]  # another key may have got a surer answer since
    known = labels.known_at(context.workspace.table(spec.name, "labels"), window.until, rows[KEY])
    rows = rows[~rows[KEY].isin(known[KEY]) & ~rows[KEY].isin(taken)]
    return rows.sort_values([event_time, KEY], ignore_index=True), draw
