"""Label collection: read from the source the labels that are known by a moment, and record them."""

from datetime import datetime, timedelta

import pandas as pd
from pydantic import Field

from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch.source_rows import read_rows
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.split import label_is_visible
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.predictions.label_times import followed, is_deep
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.kinds import Kind
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import row_keys
from everfit.tasks.storage.values import FAULTS, bring_known, faulty
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.context import Context


class CollectedLabels(Record):
    """Counts of the labels that were collected."""

    until: datetime
    recorded: RecordedLabels
    unmatched: int = Field(description="Keys with a label and no prediction.")
    unlabelled: int = Field(default=0, description="Rows of a label file without a label.")
    aside: RowsSetAside = Field(
        default_factory=RowsSetAside, description="Rows whose label could not be recorded, such as an infinite number."
    )


def label_window(context: Context, until: datetime, needed: Window | None = None) -> Window:
    """Return the event times whose labels may have become known since the last collection.

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
        return Window(since=needed_since, until=until)
    since = max(newest) - context.spec.maturity - context.spec.source.lookback
    if has_later and needed_since is not None:
        since = min(since, needed_since)
    if is_deep(context.spec, max(newest), until):
        since = min(since, until - followed(context.spec))
    return Window(since=min(since, until - timedelta(microseconds=1)), until=until)


def collect_labels(context: Context, window: Window) -> CollectedLabels:
    """Record the labels of a window of the source, and count those that have no prediction.

    Args:
        context: The model.
        window: The event times to read; labels that are known at its end are collected.

    Raises:
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: A label is invalid.
    """
    name, table = context.spec.name, context.workspace.table
    recorded, aside = record_source_labels(context, window)
    return CollectedLabels(
        until=window.until,
        recorded=recorded,
        aside=aside,
        unmatched=labels.unmatched(table(name, "labels"), table(name, "predictions"), window.until),
    )


def record_source_labels(context: Context, window: Window) -> tuple[RecordedLabels, RowsSetAside]:
    """Record the labels of a window of the source that are known at its end, and set aside those that can't be read."""
    spec = context.spec
    table = context.workspace.table(spec.name, "labels")
    recorded, aside = RecordedLabels(), RowsSetAside()
    kinds, deleted = label_kinds(spec, context.workspace), read_deleted_keys(context.workspace, spec.name)
    for rows in read_rows(context, window, joins=False):
        if spec.columns.target not in rows:
            continue
        named = rows[[name for name in rows if name in spec.columns.named() or name == FAULTS]]
        frame = bring_known(named, kinds)
        aside = aside.with_rows(frame[named[spec.columns.target].notna()], spec.columns.key)
        frame = frame[~faulty(frame)]
        label_time = spec.columns.label_time
        if label_time is None:
            known = frame[label_is_visible(frame, spec, window.until)]
        else:  # early labels too, which are judged by their age where they are read
            known = frame[frame[spec.columns.target].notna() & (frame[label_time] <= window.until)]
        times = known[spec.columns.time] + spec.maturity if label_time is None else known[label_time]
        keys = row_keys(known, spec.columns.key)
        recorded += label_recording.record_labels(
            table, labels.label_rows(keys, known[spec.columns.target], times, spec.task, labels.SOURCE), deleted
        )
    return recorded, aside


def label_kinds(spec: ModelSpec, workspace: Workspace) -> dict[str, Kind]:
    """Return the kinds of the key and the target as the dataset has them; before the first batch a number, or none."""
    kinds = read_kinds(workspace, spec.name)
    if spec.task == "regression":
        kinds.setdefault(spec.columns.target, "decimal")
    for name in spec.columns.any_spelling:
        kinds.setdefault(name, "folded")
    return {name: kinds[name] for name in (*spec.columns.key, spec.columns.target) if name in kinds}
