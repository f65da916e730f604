"""Label collection: read from the source the labels that are known by a moment, and record them."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch.begun_collections import BegunCollection, begun_since
from everfit.tasks.batch.label_classes import (
    FEWEST_LABELS,
    GivenLabels,
    classes_in_data,
    given_labels,
    of_unknown_class,
    refuse_other_spelling,
    with_class_faults,
)
from everfit.tasks.batch.source_rows import read_rows
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.row_choice import label_is_visible
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.drawn_answers import unmatched
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.predictions.label_times import followed, is_deep
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.kinds import Kind, kinds_of_spec
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.table_parts import table_parts
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.values import FAULTS, bring_known, faulty
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.context import Context

_ROWS_AT_ONCE, _MOST_AT_ONCE = 100_000, 1_000_000
"""Labels of so many rows are written at once: a source of many small files would make a commit for each."""
_SHARE_AT_ONCE = 100
"""More are written at once if the table has this many times as many, because each write compares with all keys."""


class CollectedLabels(Record):
    """Counts of the labels that were collected."""

    until: datetime
    recorded: RecordedLabels
    unmatched: int = Field(
        description="Keys with a label and no prediction; if there are more than ten million labels, counted on a draw."
    )
    unlabelled: int = Field(default=0, description="Rows of a label file without a label.")
    aside: RowsSetAside = Field(
        default_factory=RowsSetAside, description="Rows whose label could not be recorded, such as an infinite number."
    )


def label_window(context: Context, until: datetime, needed: Window | None = None) -> Window:
    """Return the event times whose labels may have become known since the last collection that ended.

    It reaches back by the label's maturity and the source's look-back, and now and then further, for labels that take
    longer than the maturity.

    Args:
        context: The model.
        until: Labels that become known later are not collected.
        needed: Event times whose labels must be collected in any case. An earlier collection may have had a later
            `until`, and labels given by hand say nothing about how far the source was read.
    """
    table = context.workspace.table(context.spec.name, "labels")
    if not table.exists():
        return Window(until=until)
    newest, has_later = [], False
    for frame in table.batches(columns=[labels.LABEL_TIME, labels.ORIGIN]):
        times = frame.loc[frame[labels.ORIGIN] == labels.SOURCE, labels.LABEL_TIME]
        newest += [times[times <= until].max()]
        has_later |= bool((times > until).any())
    newest = [time for time in newest if not pd.isna(time)]
    needed_since = None if needed is None else needed.since
    if not newest:
        since = None if needed_since is None else begun_since(context.workspace, context.spec.name, needed_since)
        return Window(since=since, until=until)
    since = max(newest) - context.spec.maturity - context.spec.source.lookback
    if has_later and needed_since is not None:
        since = min(since, needed_since)
    if is_deep(context.spec, max(newest), until):
        since = min(since, until - followed(context.spec))
    since = min(since, until - timedelta(microseconds=1))
    return Window(since=begun_since(context.workspace, context.spec.name, since), until=until)


def collect_labels(context: Context, window: Window) -> CollectedLabels:
    """Record the labels of a window of the source, and count those that have no prediction.

    Args:
        context: The model.
        window: The event times to read; labels that are known at its end are collected.

    Raises:
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: A label is invalid, or a class was renamed where the labels come from.
    """
    name, table = context.spec.name, context.workspace.table
    recorded, aside = record_source_labels(context, window)
    return CollectedLabels(
        until=window.until,
        recorded=recorded,
        aside=aside,
        unmatched=unmatched(table(name, "labels"), table(name, "predictions"), window.until),
    )


def record_source_labels(context: Context, window: Window) -> tuple[RecordedLabels, RowsSetAside]:
    """Record the labels of a window of the source that are known at its end, and set aside those that can't be read.

    A class that the data doesn't have may be a new one if there are more than two. With two classes it can't be new,
    and its labels are set aside.

    Args:
        context: The model.
        window: The event times to read.

    Raises:
        RenamedClassError: Labels of unknown classes have taken the place of known ones; the others are recorded.
    """
    spec = context.spec
    target, table = spec.columns.target, context.workspace.table(spec.name, "labels")
    recorded, aside, found = RecordedLabels(), RowsSetAside(), GivenLabels()
    classes: dict[str, float] | None = None
    held: list[pd.DataFrame] = []
    waiting: list[pd.DataFrame] = []
    index = LabelIndex()
    on_record = sum(part.rows for part in table_parts(table))
    at_once = min(max(_ROWS_AT_ONCE, on_record // _SHARE_AT_ONCE), _MOST_AT_ONCE)
    collection = BegunCollection(context.workspace, spec.name, window)
    kinds, deleted = label_kinds(spec, context.workspace), read_deleted_keys(context.workspace, spec.name)

    def record() -> None:
        nonlocal recorded, waiting
        if any(map(len, waiting)):
            recorded = sum(label_recording.record_requests(table, waiting, deleted, index), recorded)
        waiting = []

    # Without a key, a label finds its prediction by the features, and a joined source may have some of them.
    for rows in read_rows(context, window, joins=bool(spec.columns.identity)):
        if target not in rows:
            continue
        named = rows[[name for name in rows if name in spec.columns.named() or name == FAULTS]]
        frame = bring_known(named, kinds)
        if classes is None and named[target].notna().any():
            classes = classes_in_data(context)
        found += given_labels(named[target], frame[target], classes or {}, rows[spec.columns.time])
        is_new = np.zeros(len(frame), dtype=np.bool_)
        if spec.task == "binary":
            frame = with_class_faults(frame, target, classes or {})
        else:
            is_new = of_unknown_class(frame[target], classes or {})
        aside = aside.with_rows(frame[named[target].notna()], spec.columns.key)
        good = ~faulty(frame)
        held.append(_known_labels(frame[good & is_new], spec, window.until))
        if len(known := _known_labels(frame[good & ~is_new], spec, window.until)):
            collection.begin()
            waiting.append(known)
        if sum(map(len, waiting)) >= at_once:
            record()
    record()
    if found.total >= FEWEST_LABELS:
        refuse_other_spelling(found, classes or {}, spec.name)
    waiting = held
    record()
    collection.end()
    return recorded, aside


def _known_labels(frame: pd.DataFrame, spec: ModelSpec, until: datetime) -> pd.DataFrame:
    """Return the labels of rows that are known at a moment, as rows of the labels table."""
    target, label_time = spec.columns.target, spec.columns.label_time
    if label_time is None:
        known = frame[label_is_visible(frame, spec, until)]
        times = known[spec.columns.time] + spec.maturity
    else:  # early labels too, which are judged by their age where they are read
        known = frame[frame[target].notna() & (frame[label_time] <= until)]
        times = known[label_time]
    key, identity = spec.columns.key, list(spec.columns.identity)
    keys = row_keys(known, key) if key or not set(identity) <= set(known) else row_keys(known[identity], ())
    return labels.label_rows(keys, known[target], times, spec.task, labels.SOURCE)


def label_kinds(spec: ModelSpec, workspace: Workspace) -> dict[str, Kind]:
    """Return the kinds of the target and of the columns by which labels are joined, as the dataset has them.

    Before the first batch, nothing is known of them, except that a regression's target is a number.
    """
    kinds = read_kinds(workspace, spec.name)
    kinds = kinds_of_spec(spec.columns.any_spelling, spec.columns.numbers) | kinds
    if spec.task == "regression":
        kinds.setdefault(spec.columns.target, "decimal")
    needed = (*spec.columns.key, *spec.columns.identity, spec.columns.target)
    return {name: kinds[name] for name in needed if name in kinds}
