"""Batch scoring: predict on a window of the source and log the predictions."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError, ModelError
from everfit.tasks.batch import scored_spans
from everfit.tasks.batch.source_rows import read_rows
from everfit.tasks.core.records import ModelVersion, Record, Window
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.data.transform import Function
from everfit.tasks.registry import bounds_tag, model_registry
from everfit.tasks.scoring.batch_scoring import ScoringBatch, score_window
from everfit.tasks.scoring.certainty import CertaintyRules
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.turns.context import Context

_WAIT = timedelta(hours=1)
"""How long to wait for other runs that score the same model."""


class ScoringResult(Record):
    """Counts of the predictions that a run of batch scoring added to the prediction log."""

    window: Window
    model_version: int = Field(description="The champion.")
    added: int = Field(description="Predictions of the champion.")
    known: int = Field(
        default=0, description="Rows whose key was predicted before, or earlier in the same rows; it isn't again."
    )
    aside: RowsSetAside = Field(
        default_factory=RowsSetAside,
        description="Rows that could not be scored, such as those with a value that is no number, or without a time.",
    )
    shadow_version: int | None = Field(default=None, description="The challenger in shadow, if it predicted too.")
    shadow_added: int = Field(default=0, description="Predictions of the challenger.")

    @classmethod
    def of(cls, window: Window, version: int, added: int, aside: RowsSetAside) -> "ScoringResult":
        """Return the counts, of which those of added, known and set aside rows are all rows that were read."""
        known = aside.read - aside.count - added
        return cls(window=window, model_version=version, added=added, known=known, aside=aside)


def scoring_window(context: Context, since: datetime | None, until: datetime) -> Window:
    """Return the window to score.

    Args:
        context: The model.
        since: Its beginning. If omitted, it continues where earlier batches ended, less the source's look-back.
        until: Its end.

    Raises:
        DataError: The beginning is not before the end.
    """
    if since is not None and since >= until:
        raise DataError(
            f"--since {since:%Y-%m-%d %H:%M} is not before --until {until:%Y-%m-%d %H:%M}; give an earlier one"
        )
    if since is not None:
        return Window(since=since, until=until)
    spans = scored_spans.read_spans(context.workspace, context.spec.name)
    return scored_spans.next_window(spans, until, context.spec.source.lookback)


def score_batch(
    context: Context,
    window: Window,
    *,
    again: bool = False,
    shadow: bool = False,
    function: Function | None = None,
    spread: Spread = in_turn,
) -> ScoringResult:
    """Predict on a window of the source with the champion, and with the challenger if it is in shadow.

    Args:
        context: The model.
        window: The span of event time to score.
        again: Let the champion predict again on a window that an earlier champion has scored completely.
        shadow: Let the challenger predict too.
        function: Changes the rows before they are scored.
        spread: Where chunks of rows are scored.

    Raises:
        ModelError: The model has no champion, or its version can't be loaded.
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: The rows lack a column that the version needs, or the function changed their number.
    """
    name = context.spec.name
    champion = require_champion(context)
    # Rows of a batch that was killed keep the predictions that they have: a newer champion doesn't repeat them.
    once = not (again and scored_spans.is_scored(scored_spans.read_spans(context.workspace, name), window))
    added, aside = score_chunks(
        context, champion, read_rows(context, window, function), ScoringBatch(window, once=once), spread=spread
    )
    result = ScoringResult.of(window, champion.version, added, aside)
    challenger = model_registry.challenger(context.mlflow, name) if shadow else None
    if challenger is not None and challenger.version != champion.version:
        shadow_batch = ScoringBatch(window, "shadow")
        rows = read_rows(context, window, function)
        shadow_added, _ = score_chunks(context, challenger, rows, shadow_batch, spread=spread)
        result = result.model_copy(update={"shadow_version": challenger.version, "shadow_added": shadow_added})
    scored_spans.record_span(context.workspace, name, window)
    return result


def score_chunks(
    context: Context,
    version: ModelVersion,
    chunks: Iterator[pd.DataFrame],
    batch: ScoringBatch,
    *,
    spread: Spread = in_turn,
) -> tuple[int, RowsSetAside]:
    """Predict on rows with a registered version, and log the predictions, while no other run scores the same model.

    Args:
        context: The model.
        version: The version that predicts.
        chunks: The window's rows, in chunks that fit in memory.
        batch: The window, and how its predictions are logged.
        spread: Where chunks are scored.

    Returns:
        How many predictions were added, and the rows that were set aside.

    Raises:
        BusyError: Other runs score the model for longer than an hour.
    """
    loaded = load_scorer(context.mlflow, context.ledger, version)
    batch = replace(batch, certainty=_certainty_rules(context, version))
    table = context.workspace.table(context.spec.name, "predictions")
    with context.ledger.leases.hold(context.spec.name, scope="scoring", wait=_WAIT) as lease:
        # The rows to skip are read under the lease, so they include those of a run that ended just before.
        return score_window(loaded, chunks, table, batch, spread=spread, confirm=lease.confirm)


def _certainty_rules(context: Context, version: ModelVersion) -> CertaintyRules:
    """Return what the spec wants to be said of how sure a version's answers are."""
    policy = context.spec.release.serving
    bounds = None
    if policy.intervals is not None:
        bounds = bounds_tag.read_bounds(context.mlflow, version.model, version.version)
    return CertaintyRules(policy, {} if bounds is None else {version.version: bounds})


def require_champion(context: Context) -> ModelVersion:
    """Return the champion.

    Raises:
        ModelError: The model has no champion.
    """
    name = context.spec.name
    champion = model_registry.champion(context.mlflow, name)
    if champion is not None:
        return champion
    released = context.ledger.releases.current(name)
    if released is None:
        raise ModelError(f"{name!r} has no champion to predict with; run `everfit train` first")
    raise ModelError(
        f"{name!r} has no champion in MLflow, and version {released.version} by the ledger; check that "
        f"MLFLOW_TRACKING_URI is the address of its MLflow and that its database is there, or release a version by "
        f"`everfit rollback` or `everfit train`"
    )
