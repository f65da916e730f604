"""Steps of the flows that feed the loop back: predictions of a window, and labels that have come true."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from everfit.blocks.errors import ModelError, SpecError
from everfit.tasks.batch import scored_spans
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import ModelVersion, Record, Window
from everfit.tasks.data.split import label_is_visible
from everfit.tasks.predictions import labels
from everfit.tasks.predictions.labels import RecordedLabels
from everfit.tasks.registry import model_registry
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.scoring.scorer import ScoringBatch, score_window
from everfit.tasks.sources import read_source
from everfit.tasks.storage.tables import row_keys
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.feedback")


class ScoringResult(Record):
    """What a run of batch scoring added to the prediction log."""

    window: Window
    model_version: int
    added: int = Field(description="Predictions of the champion.")
    shadow_version: int | None = None
    shadow_added: int = 0


class LabellingResult(Record):
    """What a run of labeling found."""

    until: datetime
    recorded: RecordedLabels
    unmatched: int = Field(description="Keys with a label and no prediction.")


def scoring_window(context: Context, since: datetime | None, until: datetime) -> Window:
    """The window to score: without a beginning, from where the batches have come to, with the source's look-back."""
    if since is not None:
        return Window(since=since, until=until)
    spans = scored_spans.read_spans(context.workspace, context.spec.name)
    return scored_spans.next_window(spans, until, context.spec.source.lookback)


@task
def score(context: Context, window: Window, *, again: bool = False, shadow: bool = False) -> ScoringResult:
    """Predict on a window of the source with the champion, and with the challenger if it's in shadow.

    Args:
        context: The model.
        window: Of event time.
        again: A champion may predict once more on a window that an earlier one has gone through whole.
        shadow: Let the challenger predict too.

    Raises:
        ModelError: there is no champion.
    """
    name = context.spec.name
    champion = model_registry.champion(context.mlflow, name)
    if champion is None:
        raise ModelError(f"{name!r} has no champion to predict with; run `everfit train` first")
    # What a run has left that was killed isn't predicted again by the champion that has come since.
    once = not (again and scored_spans.is_through(scored_spans.read_spans(context.workspace, name), window))
    added = score_chunks(context, champion, _rows(context, window), ScoringBatch(window, once=once))
    result = ScoringResult(window=window, model_version=champion.version, added=added)
    challenger = model_registry.challenger(context.mlflow, name) if shadow else None
    if challenger is not None and challenger.version != champion.version:
        shadowed = score_chunks(context, challenger, _rows(context, window), ScoringBatch(window, "shadow"))
        result = result.model_copy(update={"shadow_version": challenger.version, "shadow_added": shadowed})
    scored_spans.keep_span(context.workspace, name, window)
    return result


def score_chunks(context: Context, version: ModelVersion, chunks: Iterator[pd.DataFrame], batch: ScoringBatch) -> int:
    """Predict on rows with a version of the registry, into the prediction log.

    Args:
        context: The model.
        version: That predicts.
        chunks: The window's rows, in pieces that fit in memory.
        batch: What the rows are.

    Returns:
        How many predictions were added.
    """
    loaded = load_scorer(context.mlflow, version)
    return score_window(loaded, chunks, context.workspace.table(context.spec.name, "predictions"), batch)


def _rows(context: Context, window: Window) -> Iterator[pd.DataFrame]:
    event_time = context.spec.columns.event_time
    if event_time is None:
        raise SpecError(f"{context.spec.name}: windows are of event time; name its column under columns.event_time")
    for piece in read_source(context.spec.source, context.spec.columns, window, strict=False):
        # A file that was never read before is given whole.
        at = piece.frame[event_time]
        inside = at < window.until
        if window.since is not None:
            inside &= at >= window.since
        yield piece.frame[inside].reset_index(drop=True)


def labels_window(context: Context, until: datetime, needed: Window | None = None) -> Window:
    """The event times whose labels may have come since the last time, with the source's look-back.

    Args:
        context: The model.
        until: What is known at this moment is all that is known.
        needed: Event times whose labels are needed whatever was taken before: after a newer moment an older one may
            be looked at, and what others gave by hand says nothing of the source.
    """
    known = context.workspace.table(context.spec.name, "labels")
    if not known.exists():
        return Window(until=until)
    columns, taken, later = [labels.LABEL_TIME, labels.ORIGIN], [], False
    for frame in known.batches(columns=columns):
        times = frame.loc[frame[labels.ORIGIN] == labels.SOURCE, labels.LABEL_TIME]
        taken += [times[times <= until].max()]
        later |= bool((times > until).any())
    taken = [each for each in taken if not pd.isna(each)]
    back = None if needed is None else needed.since
    if not taken:
        return Window(since=back, until=until)
    since = max(taken) - context.spec.maturity - context.spec.source.lookback
    if later and back is not None:
        since = min(since, back)
    return Window(since=min(since, until - timedelta(microseconds=1)), until=until)


@task
def record_labels(context: Context, window: Window) -> LabellingResult:
    """Take the labels of a window of the source that are known at its end, and look how many predictions they find."""
    name, table = context.spec.name, context.workspace.table
    return LabellingResult(
        until=window.until,
        recorded=take_labels(context, window),
        unmatched=labels.unmatched(table(name, "labels"), table(name, "predictions"), window.until),
    )


def take_labels(context: Context, window: Window) -> RecordedLabels:
    """Take the labels of a window of the source that are known at its end."""
    spec, until = context.spec, window.until
    table = context.workspace.table(spec.name, "labels")
    recorded = RecordedLabels()
    for frame in _rows(context, window):
        if spec.columns.target not in frame:
            continue
        known = frame[label_is_visible(frame, spec, until)]
        told = spec.columns.label_time
        times = known[spec.columns.time] + spec.maturity if told is None else known[told]
        keys = row_keys(known, spec.columns.key)
        recorded += labels.record(
            table, labels.label_rows(keys, known[spec.columns.target], times, spec.task, labels.SOURCE)
        )
    return recorded


def final_state(result: ScoringResult | LabellingResult) -> State[dict[str, Any]]:
    """The flow's final state: `Scored`, `Labelled`, or `NothingNew`."""
    if isinstance(result, ScoringResult):
        name = "Scored" if result.added or result.shadow_added else "NothingNew"
        message = f"{result.added} predictions of version {result.model_version} in {result.window}"
    else:
        told = result.recorded
        name = "Labelled" if told.added or told.corrected or told.older else "NothingNew"
        message = f"{told.added} new labels, {told.corrected} corrected; {result.unmatched} without a prediction"
    return ended(Completed(name=name, message=message, data=result.model_dump(mode="json")))
