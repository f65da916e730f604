"""The spans of event time that a monitoring run compares with the reference. Pure."""

from datetime import datetime, timedelta
from math import ceil

import pandas as pd
from pydantic import AwareDatetime

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window


class MonitoringWindows(Record):
    """The spans that a monitoring run measures.

    The labelled window is as long as the other and ends earlier by the maturity. Neither holds rows that the champion
    may have trained on.
    """

    window: Window
    labelled: Window
    policy_window: timedelta
    unseen_since: AwareDatetime

    @property
    def policy_span(self) -> Window:
        """The newest span of the spec's length, including rows that the champion may have trained on."""
        return Window(since=self.window.until - self.policy_window, until=self.window.until)

    @property
    def unseen(self) -> Window:
        """All rows that the champion has not been trained on."""
        return Window(since=min(self.unseen_since, self.labelled.since or self.unseen_since), until=self.window.until)

    def reach_back(self, times: "pd.Series[pd.Timestamp]", enough: int) -> tuple[Window, int]:
        """Return the labelled window, with as many windows before it as it takes to have enough labels.

        Args:
            times: Event times of the champion's rows with mature labels, in any order.
            enough: The number of labels by which quality is judged.

        Returns:
            The window, which does not begin before the rows that the champion has not been trained on, and the number
            of windows that it is made of.
        """
        own = self.labelled
        since = own.since
        before = times[times < pd.Timestamp(own.until)].sort_values()
        if since is None or since <= self.unseen_since or int((before >= pd.Timestamp(since)).sum()) >= enough:
            return own, 1
        oldest = before.iloc[-min(enough, len(before))].to_pydatetime() if len(before) else since
        further = max(0, ceil((since - oldest) / self.policy_window))
        return Window(since=max(since - further * self.policy_window, self.unseen_since), until=own.until), 1 + further


def monitoring_windows(
    spec: ModelSpec, trained_until: datetime, until: datetime, looked: datetime | None = None
) -> MonitoringWindows:
    """Return the spans that end at a moment.

    They are as long as the spec's window, or begin at the last look if that is longer ago.

    Args:
        spec: The model's spec.
        trained_until: The champion has seen no row at or after this.
        until: The moment.
        looked: The moment of the last look, if there was one.
    """
    span = spec.monitoring.window if looked is None else max(spec.monitoring.window, until - looked)
    mature = until - spec.maturity

    def clamped(end: datetime) -> Window:
        since = end - span
        return Window(since=max(since, trained_until) if trained_until < end else since, until=end)

    labelled = clamped(mature)
    return MonitoringWindows(
        window=clamped(until),
        labelled=labelled,
        policy_window=spec.monitoring.window,
        unseen_since=trained_until if trained_until < mature else labelled.since or trained_until,
    )
