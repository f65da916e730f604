"""The spans of event time that a monitoring run compares with the reference. Pure."""

from datetime import datetime, timedelta

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

    @property
    def policy_span(self) -> Window:
        """The newest span of the spec's length, including rows that the champion may have trained on."""
        return Window(since=self.window.until - self.policy_window, until=self.window.until)

    @property
    def both(self) -> Window:
        """From the beginning of the earlier window to the end of the later one."""
        return Window(since=self.labelled.since, until=self.window.until)


def monitoring_windows(spec: ModelSpec, trained_until: datetime, until: datetime) -> MonitoringWindows:
    """Return the spans that end at a moment.

    Args:
        spec: The model's spec.
        trained_until: The champion has seen no row at or after this.
        until: The moment.
    """
    span, mature = spec.monitoring.window, until - spec.maturity

    def clamped(end: datetime) -> Window:
        since = end - span
        return Window(since=max(since, trained_until) if trained_until < end else since, until=end)

    return MonitoringWindows(window=clamped(until), labelled=clamped(mature), policy_window=span)
