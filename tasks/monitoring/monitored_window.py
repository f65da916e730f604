"""A monitored window: the champion and its answers, from which each evidence area is measured."""

import logging
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from everfit.blocks.errors import WorkersError
from everfit.tasks.core.records import Window
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.monitoring.live_predictions import LivePredictions
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.signals.drift import DriftResult, drift
from everfit.tasks.monitoring.signals.live_estimate import came_true
from everfit.tasks.predictions.label_times import delays_since, read_label_times
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.statistics.segment_delays import segment_columns
from everfit.tasks.triage.signals import LabelsSignal

logger = logging.getLogger("everfit.monitoring")


@dataclass(frozen=True)
class MonitoredWindow:
    """One window of one model; expensive parts are computed on first use.

    Attributes:
        monitored: The model and its champion as of the window's end.
        live: The answered predictions of the window.
        collected_labels: Whether new labels could be collected; the known labels count either way.
    """

    monitored: MonitoredModel
    live: LivePredictions
    collected_labels: LabelsSignal = field(default_factory=LabelsSignal)

    @cached_property
    def column_drift(self) -> DriftResult:
        """Drift of each column against the reference.

        Raises:
            DataError: the rows were counted over another profile's cells.
        """
        policy = self.monitored.drift_policy
        return drift(self.monitored.reference.profile, self.live.counts, policy, window=self.live.window)

    @property
    def draws_report(self) -> bool:
        """Whether this look gets a drift report.

        Raises:
            DataError: as `column_drift`.
        """
        return self.monitored.draws_report(self.column_drift.drifted_columns)

    @cached_property
    def mature_answers(self) -> LabelledPredictions | None:
        """The answers with mature labels; None if they cannot be read, which the area `quality` reports."""
        try:
            return self.monitored.mature
        except WorkersError:  # the look ends
            raise
        except Exception as error:  # noqa: BLE001 - reported by the area that needs them
            logger.warning("the labelled answers cannot be read: %s", error)
            return None

    @cached_property
    def label_times(self) -> pd.DataFrame | None:
        """The answered rows of all versions that are followed, with the times of their labels; None if not wanted."""
        monitored = self.monitored
        spec, table = monitored.context.spec, monitored.context.workspace.table
        if spec.monitoring.label_delays == "ignore":
            return None
        until, log = monitored.until, table(spec.name, "predictions")
        span, time = Window(since=delays_since(spec, until), until=until), monitored.event_time
        return read_label_times(log, monitored.labels, span, time, until, spec=spec, also=self.segments)

    @property
    def segments(self) -> tuple[str, ...]:
        """The columns whose values may differ in their delay: the spec's slices, otherwise features of few values."""
        if named := slice_columns(self.monitored.context.spec):
            return named
        reference = self.monitored.reference
        features = [column for column in reference.profile.columns if column.role == "feature"]
        features.sort(key=lambda column: column.kind == "numeric")  # codes come after categories
        return tuple(segment_columns(reference.sample, [column.name for column in features]))

    @cached_property
    def checked_estimate(self) -> PastEstimate | None:
        """The estimate for rows whose labels have come, with their real quality; None if either is unknown.

        Raises:
            NotEnoughError: the hold-out is too small to estimate from.
        """
        monitored = self.monitored
        if monitored.estimator is None:
            return None
        return came_true(monitored.estimator, monitored.mature, monitored.context.spec, monitored.until)
