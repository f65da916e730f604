"""Which drift is the season's: the window against the same weeks of the year before.

A column that has moved away from the training rows, but is where it was a year ago, has a season. That is no news.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from everfit.blocks.errors import EverfitError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.row_sample import RowSample
from everfit.tasks.monitoring.signals.drift import ColumnDrift
from everfit.tasks.predictions import prediction_log
from everfit.tasks.statistics import divergence
from everfit.tasks.statistics.histograms import Histograms, histograms
from everfit.tasks.storage.tables import KEY

logger = logging.getLogger("everfit.monitoring")

_YEAR = timedelta(weeks=52)
"""A year of whole weeks, so that weekdays meet their like."""
_NEARER = 0.5
"""A seasonal column is at most this share of its distance from the reference away from the year before."""
_ROWS = 20_000
"""Rows of the year before that are looked at; a sample of more."""


def seasonal_columns(
    drifted: Iterable[ColumnDrift], now: Histograms, then: Histograms, policy: MonitoringPolicy
) -> tuple[str, ...]:
    """Return the drifted columns that are distributed as in the same season of the year before.

    Args:
        drifted: The columns that have drifted from the reference.
        now: Counts of the window.
        then: Counts of the same weeks of the year before, over the same cells.
        policy: From how many rows on columns are compared.
    """
    return tuple(column.column for column in drifted if _is_seasonal(column, now, then, policy))


def season_of(window: MonitoredWindow, columns: Sequence[str]) -> tuple[str, ...]:
    """Return which of the drifted columns are distributed as a year before, by the rows of the dataset.

    The champion answers the rows of then, so its predictions can be compared too.

    Args:
        window: The window.
        columns: Names of drifted columns.
    """
    wanted = [column for column in window.column_drift.columns if column.column in columns]
    predicts, policy = any(column.role == "prediction" for column in wanted), window.monitored.drift_policy
    inputs = [*window.monitored.features, *window.monitored.texts]
    rows = _a_year_before(window, inputs if predicts else columns)
    if len(rows) < policy.min_rows:
        return ()
    if predicts:
        try:
            rows = _answered(window, rows)
        except EverfitError as error:  # the predictions then count as not seasonal
            logger.warning("the champion can't predict the rows of the year before: %s", error)
    then = histograms(rows, window.monitored.reference.profile)
    return seasonal_columns(wanted, window.live.counts, then, policy)


def _is_seasonal(column: ColumnDrift, now: Histograms, then: Histograms, policy: MonitoringPolicy) -> bool:
    current, before = now.column(column.column), then.column(column.column)
    if not before.present or before.values < policy.min_rows or column.effect is None:
        return False
    if not set(current.unseen) <= set(before.unseen):
        return False  # a new category is new, also where there were others a year ago
    counts = [np.asarray(side.cells, dtype=np.int64) for side in (before, current)]
    if not divergence.comparable(*counts):
        return False
    distance = divergence.effect(column.method, *counts)
    return distance < column.threshold and distance <= _NEARER * column.effect


def _a_year_before(window: MonitoredWindow, columns: Sequence[str]) -> pd.DataFrame:
    """Return rows of the dataset from the same weeks of the year before; shape (at most 20,000, columns there)."""
    spec, sample = window.monitored.context.spec, RowSample(_ROWS)
    table, time = window.monitored.context.workspace.table(spec.name, "dataset"), spec.columns.event_time
    span = window.live.window
    if not columns or time is None or span.since is None or not table.exists():
        return sample.frame
    there = table.columns()
    names = [name for name in dict.fromkeys([KEY, time, *columns]) if name in there]
    before = Window(since=span.since - _YEAR, until=span.until - _YEAR)
    for chunk in table.batches(before, time, names):
        sample.add(chunk)
    return sample.frame


def _answered(window: MonitoredWindow, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with what the champion says of them, as in the prediction log; as they are if it can't."""
    monitored = window.monitored
    scorer = monitored.scorer(monitored.champion.version)
    names = [column.name for column in scorer.inputs.features]
    if not set(names) <= set(rows.columns):
        return rows
    inputs = scorer.inputs.model_copy(update={"key": ()})
    answers = scorer.score(inputs.conform(rows[names])[names]).columns()
    return rows.assign(**{name: answers[name] for name in (prediction_log.PREDICTION, prediction_log.SCORE)})
