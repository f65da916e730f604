"""Files given by hand: rows to predict, and labels.

They are read like the files of the source, so that equal keys match.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from glob import has_magic
from pathlib import Path

import numpy as np
import pandas as pd

from everfit.blocks.errors import DataError, SourceError, SpecError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles, ModelSpec
from everfit.tasks.batch.label_classes import classes_in_data, given_labels, of_unknown_class, refuse_other_spelling
from everfit.tasks.batch.label_collection import CollectedLabels, label_kinds
from everfit.tasks.batch.scoring import ScoringResult, require_champion, score_chunks
from everfit.tasks.batch.source_rows import joined_chunks, without_deleted
from everfit.tasks.core.records import Window
from everfit.tasks.data.joined_rows import lacks_joined
from everfit.tasks.predictions import label_recording, labels, prediction_log
from everfit.tasks.predictions.drawn_answers import unmatched
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.scoring.batch_scoring import ScoringBatch
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.sources import read_source
from everfit.tasks.statistics.columns import label
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.kinds import is_read_as_text
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.values import FAULTS, bring_known, faulty
from everfit.tasks.turns.context import Context

_FAR = datetime(2200, 1, 1, tzinfo=UTC)


def score_file(context: Context, path: str) -> ScoringResult:
    """Predict on the rows of a file with the champion, and log the predictions.

    Scoring a file again with the same version adds nothing. Batch scoring of the source ignores these predictions. The
    sources that the spec joins are joined to a file that lacks their columns.

    Args:
        context: The model.
        path: A file, a folder or a glob, with key, event time and features.

    Raises:
        ModelError: The model has no champion.
        SpecError: The model has no event time.
        DataError: The file has no rows.
    """
    columns = context.spec.columns
    if columns.event_time is None:
        raise SpecError(f"{context.spec.name}: windows are of event time; name its column under columns.event_time")
    champion = require_champion(context)
    roles = context.spec.own_columns
    times = [rows[columns.event_time].dropna() for rows in _read(context, path, roles)]
    if not times:
        raise DataError(f"{path!r} has no rows; give a file with a header and rows")
    ends = [(some.min(), some.max()) for some in times if len(some)]
    if not ends:
        raise DataError(f"{path!r} has no row with a time in {columns.event_time!r}; give each row its event time")
    # A window excludes its end, and times are stored to the microsecond.
    until = max(end for _, end in ends) + pd.Timedelta(microseconds=1)
    window = Window(since=min(since for since, _ in ends).to_pydatetime(), until=until.to_pydatetime())
    batch = ScoringBatch(window, client=prediction_log.FILE)
    deleted = read_deleted_keys(context.workspace, context.spec.name)
    rows: Iterator[pd.DataFrame] = (without_deleted(context, deleted, chunk) for chunk in _read(context, path, roles))
    if context.spec.joins and any(lacks_joined(chunk, context.spec.joins) for chunk in _read(context, path, roles)):
        rows = joined_chunks(context, rows, window.since, window.until)
    added, aside = score_chunks(context, champion, rows, batch)
    return ScoringResult.of(window, champion.version, added, aside)


def record_label_file(context: Context, path: str, *, origin: str, now: datetime) -> CollectedLabels:
    """Record the labels of a file in the labels table.

    Args:
        context: The model.
        path: A file, a folder or a glob with the key columns and the target, and optionally the label time.
        origin: Where the labels come from; it is stored with each label.
        now: The label time of rows that have none.

    Raises:
        SpecError: The model has no key, so labels can't be joined to predictions.
        DataError: The file has no labels of the model's classes.
        SourceError: The file can't be read, or lacks a column.
    """
    spec = context.spec
    columns = spec.columns
    if not columns.key:
        raise SpecError(
            f"{spec.name} has no key, so labels can't be joined to predictions; set columns.key in its spec"
        )
    # The event time is needed only if it is part of the key.
    event_time = columns.event_time if columns.event_time in columns.key else None
    roles = ColumnRoles(key=columns.key, target=columns.target, event_time=event_time, label_time=columns.label_time)
    table, kinds = context.workspace.table(spec.name, "labels"), label_kinds(spec, context.workspace)
    recorded, aside, classes, unlabelled = RecordedLabels(), RowsSetAside(), classes_in_data(context), 0
    deleted = read_deleted_keys(context.workspace, spec.name)
    for given in _read(context, path, roles):
        rows = bring_known(given, kinds)
        if columns.target not in rows:
            raise DataError(f"{path!r} has no column {columns.target!r}, the target; give the labels that name")
        found = given_labels(given[columns.target], rows[columns.target], classes)
        refuse_other_spelling(found, classes, spec.name)
        rows = _with_key_faults(rows, columns.key)
        aside = aside.with_rows(rows, columns.key)
        rows = rows[~faulty(rows)].reset_index(drop=True)
        rows, aside = _without_unknown(rows, aside, classes, spec)
        has_times = columns.label_time in rows
        times = rows[columns.label_time] if has_times else pd.Series([pd.Timestamp(now)] * len(rows))
        times = times.fillna(pd.Timestamp(now))
        new_rows = labels.label_rows(row_keys(rows, columns.key), rows[columns.target], times, spec.task, origin)
        counts = label_recording.record_labels(table, new_rows, deleted)
        twice = len(new_rows) - counts.read
        recorded += counts + RecordedLabels(read=twice, unchanged=twice)
        unlabelled += len(rows) - len(new_rows)
    predicted = context.workspace.table(spec.name, "predictions")
    alone = unmatched(table, predicted, now)
    return CollectedLabels(until=now, recorded=recorded, unmatched=alone, unlabelled=unlabelled, aside=aside)


def _with_key_faults(rows: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Return rows of which those without a whole key have a fault: no prediction can be found for them."""
    missing = rows[list(key)].isna() & ~faulty(rows)[:, np.newaxis]
    if not missing.any(axis=None):
        return rows
    reasons = pd.Series("", index=rows.index, dtype="str")
    for name in key:
        reasons = reasons.mask(missing[name], reasons + f"{name}: the label has no key; ")
    return rows.assign(**{FAULTS: rows[FAULTS].fillna("") + reasons})


def _without_unknown(
    rows: pd.DataFrame, aside: RowsSetAside, classes: Iterable[str], spec: ModelSpec
) -> tuple[pd.DataFrame, RowsSetAside]:
    """Set aside labels of unknown classes, and contradicting labels of one key."""
    target, key = spec.columns.target, list(spec.columns.key)
    texts = rows[target].map(label, na_action="ignore")
    unknown = of_unknown_class(rows[target], classes)
    moment = [name for name in (spec.columns.label_time,) if name is not None and name in rows.columns]
    labelled = rows.assign(**{target: texts}).dropna(subset=[target])
    contradicting = labelled.groupby([*key, *moment], dropna=False)[target].transform("nunique") > 1
    several = np.zeros(len(rows), dtype=np.bool_)
    several[contradicting.index[contradicting]] = True
    reasons = [
        (f"{target}: {value!r} is no class of the model; " if strange else "")
        + (f"{target}: the key has several labels; " if twice else "")
        for value, strange, twice in zip(texts, unknown, several, strict=True)
    ]
    bad = unknown | several
    counted = aside.with_rows(rows.assign(**{FAULTS: pd.array(reasons, dtype="str")})[bad], key)
    return rows[~bad].reset_index(drop=True), counted.model_copy(update={"read": aside.read})


def _read(context: Context, path: str, roles: ColumnRoles) -> Iterator[pd.DataFrame]:
    if "://" not in path and not has_magic(path) and not Path(path).exists():
        raise SourceError(f"there is no file {path!r}; check its path, which starts at this folder")
    own = context.spec.source
    if isinstance(own, FilesSource):
        source = own.model_copy(update={"path": path, "format": None})
    else:
        source = FilesSource(path=path, time_format=own.time_format, label_time_format=own.label_time_format)
    kinds = read_kinds(context.workspace, context.spec.name)
    texts = [name for name, kind in kinds.items() if is_read_as_text(kind)]
    for chunk in read_source(source, roles, Window(until=_FAR), strict=False, texts=texts):
        if len(chunk.frame):
            yield chunk.frame.reset_index(drop=True)
