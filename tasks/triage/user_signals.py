"""Evidence that the user brings: metrics from a source of their own, and signals that their functions measure."""

from typing import Literal

from pydantic import Field, FiniteFloat

from everfit.tasks.triage.area import Area


class UserMetricSignal(Area):
    """A metric of the user, such as an acceptance rate, averaged over the window."""

    name = "user_metrics"
    label = "user metrics"
    measures = "metrics of the users from a source of their own (`retraining.user_metrics`)"
    required = ("value",)

    metric: str
    value: FiniteFloat | None = None

    @property
    def title(self) -> str:
        """The metric's name."""
        return self.metric

    @property
    def details(self) -> str:
        """The value."""
        return "" if self.value is None else f"{self.value:.4g}, {self.reason}"


SignalAction = Literal["watch", "escalate", "retrain"]
"""The action of triage when a signal of the user is not ok."""


class OwnSignal(Area):
    """A signal that a function of the user has measured (`monitoring.signals`)."""

    name = "own"
    label = "own signals"
    measures = "signals that functions of the user measure (`monitoring.signals`)"
    essential = True
    required = ("ok",)

    signal: str = Field(description="The signal's name in the spec.")
    value: FiniteFloat | None = None
    ok: bool | None = Field(default=None, description="Whether the value is within its bounds.")
    action: SignalAction = "watch"

    @property
    def title(self) -> str:
        """The signal's name."""
        return self.signal

    @property
    def details(self) -> str:
        """Value, verdict and reason."""
        value = [] if self.value is None else [f"{self.value:.4g}"]
        return "; ".join([*value, "ok" if self.ok else "not ok", *([self.reason] if self.reason else [])])

    @property
    def problem(self) -> str:
        """Why the signal is not ok; empty if it is ok or was not measured."""
        if not self.measured or self.ok:
            return ""
        return f"{self.signal}: {self.reason or 'not ok'}"

    @property
    def concerns(self) -> tuple[str, ...]:
        """The problem, where the spec asks to watch it; the other actions have rules of their own."""
        return (self.problem,) if self.problem and self.action == "watch" else ()
