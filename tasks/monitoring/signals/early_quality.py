"""The evidence area `early`: quality on the labels of rows that are not mature yet, weighted by how many are known."""

from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.predictions.labels import LABEL, LABEL_TIME
from everfit.tasks.statistics.early_labels import LEAST, label_arrival
from everfit.tasks.triage.early_signal import EarlySignal


def measure_early(window: MonitoredWindow) -> EarlySignal:
    """Measure quality on the newest rows of which enough labels are known."""
    monitored, times = window.monitored, window.label_times
    spec = monitored.context.spec
    if times is None or (spec.columns.label_time is None and times[LABEL_TIME].isna().all()):
        return EarlySignal(reason="the delay of labels is not known")
    return early_quality(monitored.answers, times, spec, pd.Timestamp(monitored.until), monitored.windows.policy_window)


def early_quality(
    answers: LabelledPredictions, times: pd.DataFrame, spec: ModelSpec, until: pd.Timestamp, longest: timedelta
) -> EarlySignal:
    """Return quality on the newest rows of which enough labels are known.

    Args:
        answers: The champion's answers up to `until`.
        times: Answered rows of all versions with their labels and label times.
        spec: The model's spec.
        until: The moment.
        longest: The longest span of event time to measure.

    Raises:
        NotEnoughError: Too few labels are known, or too few say how fast labels come.
    """
    event_time = answers.event_time
    mature = times[(times[event_time] <= until - spec.maturity) & times[LABEL_TIME].notna()]
    delays = _days(mature[LABEL_TIME] - mature[event_time])
    in_time = (delays >= 0) & (delays <= spec.maturity / timedelta(days=1))
    if mature.empty:
        raise NotEnoughError("no answered row has a mature label yet, so how fast labels come is not known")
    arrival = label_arrival(mature[LABEL].to_numpy()[in_time], delays[in_time], numeric=spec.task == "regression")
    end = (until - pd.Timedelta(days=arrival.youngest)).floor("s")
    begin = max(until - spec.maturity, end - longest)
    if begin >= end:
        raise NotEnoughError(f"fewer than {LEAST:.0%} of the labels are known before the maturity, so none is weighted")
    answers = answers.with_labels()
    rows = answers.rows
    known = rows[LABEL].notna() & (rows[LABEL_TIME] >= rows[event_time]) & (rows[LABEL_TIME] <= until)
    chosen = answers.of((known & (rows[event_time] >= begin) & (rows[event_time] < end)).to_numpy(dtype=np.bool_))
    span = Window(since=begin.to_pydatetime(), until=end.to_pydatetime())
    if chosen.inclusion is not None:
        raise NotEnoughError("labels of the labelling queue are among them, which come when a person is asked")
    if len(chosen.rows) < spec.monitoring.min_labels:
        raise NotEnoughError(f"{len(chosen.rows):,} early labels in {span}; {spec.monitoring.min_labels:,} are needed")
    ages = _days(until - chosen.rows[event_time])
    share = arrival.known_share(chosen.rows[LABEL].to_numpy(), ages)
    quality = realised(
        chosen.truth, chosen.scores, spec.metric, inclusion=share, days=chosen.days, entities=chosen.entities
    )
    return EarlySignal(
        status="measured",
        metric=spec.metric,
        window=span,
        rows=quality.rows,
        value=quality.value,
        standard_error=quality.standard_error,
        least_known=float(share.min()),
    )


def _days(delays: "pd.Series[pd.Timedelta]") -> npt.NDArray[np.float64]:
    return delays.dt.total_seconds().to_numpy(dtype=np.float64) / 86_400
