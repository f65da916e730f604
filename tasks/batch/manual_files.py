"""Files that a person hands over: rows to be predicted, and labels that have come true.

They are read as the source's own files are, so that their keys are the source's keys.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import pandas as pd

from everfit.blocks.errors import DataError, ModelError, SpecError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.batch import feedback
from everfit.tasks.batch.feedback import LabellingResult, ScoringResult
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.predictions.labels import RecordedLabels
from everfit.tasks.registry import model_registry
from everfit.tasks.scoring.scorer import ScoringBatch
from everfit.tasks.sources import FAULTS, read_source
from everfit.tasks.storage.tables import row_keys
from everfit.tasks.turns.context import Context

_FAR = datetime(2200, 1, 1, tzinfo=UTC)


def score_file(context: Context, path: str) -> ScoringResult:
    """Predict on the rows of a file with the champion, into the prediction log.

    A row of it that the same version has predicted already for a file is passed over, so that a file that is scored
    again adds nothing. For the batches over the source it doesn't count.

    Args:
        context: The model.
        path: A file, a folder or a glob, with key, event time and features.

    Raises:
        ModelError: there is no champion.
        SpecError: the model has no event time.
        DataError: there are no rows, or one has no event time.
    """
    columns = context.spec.columns
    if columns.event_time is None:
        raise SpecError(f"{context.spec.name}: windows are of event time; name its column under columns.event_time")
    champion = model_registry.champion(context.mlflow, context.spec.name)
    if champion is None:
        raise ModelError(f"{context.spec.name!r} has no champion to predict with; run `everfit train` first")
    ends = [(rows[columns.event_time].min(), rows[columns.event_time].max()) for rows in _read(context, path, columns)]
    if not ends:
        raise DataError(f"{path!r} has no rows")
    # A window doesn't hold its end, and times are kept to the microsecond.
    until = max(end for _, end in ends) + pd.Timedelta(microseconds=1)
    window = Window(since=min(since for since, _ in ends).to_pydatetime(), until=until.to_pydatetime())
    batch = ScoringBatch(window, client=prediction_log.FILE)
    added = feedback.score_chunks(context, champion, _read(context, path, columns), batch)
    return ScoringResult(window=window, model_version=champion.version, added=added)


def record_label_file(context: Context, path: str, *, origin: str, now: datetime) -> LabellingResult:
    """Take the labels of a file into the labels table.

    Args:
        context: The model.
        path: A file, a folder or a glob with the key columns and the target, and perhaps the label time.
        origin: Where the labels come from, for the record.
        now: When labels became known that don't say so.

    Raises:
        SpecError: the model has no key, by which a label could find its prediction.
        DataError: a row has no key.
        SourceError: the file can't be read, or lacks a column.
    """
    spec = context.spec
    columns = spec.columns
    if not columns.key:
        raise SpecError(f"{spec.name} has no key, so no label can find its prediction; give its spec columns.key")
    times = {name: getattr(columns, name) for name in ("event_time", "label_time")}
    # The event time is needed only where it is a part of the key.
    times["event_time"] = times["event_time"] if times["event_time"] in columns.key else None
    roles = ColumnRoles(key=columns.key, target=columns.target, **times)
    table = context.workspace.table(spec.name, "labels")
    recorded = RecordedLabels()
    for rows in _read(context, path, roles):
        if columns.target not in rows:
            raise DataError(f"{path!r} has no column {columns.target!r}, which is the target; name the labels so")
        if rows[list(columns.key)].isna().any(axis=None):
            raise DataError(f"{path!r}: a label has no {', '.join(columns.key)}; without it, no prediction is found")
        told = rows[columns.label_time] if columns.label_time in rows else pd.Series([pd.Timestamp(now)] * len(rows))
        told = told.fillna(pd.Timestamp(now))
        made = labels.label_rows(row_keys(rows, columns.key), rows[columns.target], told, spec.task, origin)
        recorded += labels.record(table, made)
    predicted = context.workspace.table(spec.name, "predictions")
    return LabellingResult(until=now, recorded=recorded, unmatched=labels.unmatched(table, predicted, now))


def _read(context: Context, path: str, roles: ColumnRoles) -> Iterator[pd.DataFrame]:
    own = context.spec.source
    if isinstance(own, FilesSource):
        source = own.model_copy(update={"path": path, "format": None})
    else:
        source = FilesSource(path=path, time_format=own.time_format)
    for piece in read_source(source, roles, Window(until=_FAR), strict=False):
        rows = piece.frame
        if FAULTS in rows and (rows[FAULTS] != "").any():
            first = rows.loc[rows[FAULTS] != "", FAULTS].iloc[0]
            raise DataError(f"{piece.origin}: {first.rstrip('; ')}; mend the file, nothing after this was taken")
        if len(rows):
            yield rows.reset_index(drop=True)
