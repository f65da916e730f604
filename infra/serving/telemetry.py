"""What the service counts, for Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from everfit.infra.serving.endpoint import Endpoint

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Telemetry:
    """Counters and gauges of one service.

    Args:
        endpoints: By model.
    """

    def __init__(self, endpoints: Mapping[str, "Endpoint"]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "everfit_requests", "Requests, by how they were answered.", ["model", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "everfit_request_seconds", "Time to answer.", ["model"], buckets=_SECONDS, registry=self.registry
        )
        self._refusals = Counter(
            "everfit_refused_inputs", "Inputs that don't fit the schema.", ["model", "column"], registry=self.registry
        )
        self.registry.register(_States(endpoints))

    def answered(self, model: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    def refused(self, model: str, column: str) -> None:
        """Count an input that was refused for a column of the model's."""
        self._refusals.labels(model, column).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self.registry)


_Reading = Callable[["Endpoint"], float]

_GAUGES: dict[str, tuple[str, _Reading]] = {
    "everfit_model_version": (
        "Version that is served.",
        lambda one: one.champion.version.version if one.champion else 0,
    ),
    "everfit_waiting_rows": ("Rows that wait for their prediction.", lambda one: one.batcher.waiting),
    "everfit_spool_bytes": ("Bytes that the prediction log doesn't have yet.", lambda one: one.spool.held_bytes),
    "everfit_spool_age_seconds": ("Age of the oldest predictions there.", lambda one: one.spool.held_seconds),
    "everfit_spool_max_bytes": ("Bytes that the spool may hold.", lambda one: one.spool.max_bytes),
    "everfit_registry_reachable": ("1 while it answers.", lambda one: one.follower.state.registry_reachable),
    "everfit_failed_version": ("Version that couldn't be served.", lambda one: one.follower.state.failed_version or 0),
    "everfit_segments_aside": ("Segments that lie aside, for a person to look at.", lambda one: one.spool.aside),
    "everfit_probing_clients": (
        "Clients that are flagged for probing now.",
        lambda one: one.probing.flagged if one.probing else 0,
    ),
    "everfit_drain_failures": ("Failed drains in a row.", lambda one: one.drain.state.failures if one.drain else 0),
}
_COUNTERS: dict[str, tuple[str, _Reading]] = {
    "everfit_predictions": (
        "Rows that were predicted, answered and logged.",
        lambda one: one.batcher.rows + one.trial.rows,
    ),
    "everfit_batches": ("Rounds of prediction.", lambda one: one.batcher.batches),
    "everfit_outliers": (
        "Answered rows that were flagged as outliers.",
        lambda one: one.batcher.outliers + one.trial.outliers,
    ),
    "everfit_refused_outliers": ("Rows that were refused as outliers.", lambda one: one.refused_outliers),
    "everfit_probing_rows": (
        "Rows of clients that were flagged for probing.",
        lambda one: one.probing.flagged_rows if one.probing else 0,
    ),
    "everfit_refused_probing": ("Rows that were refused for it.", lambda one: one.refused_probing),
    "everfit_drained": ("Rows that the prediction log took.", lambda one: one.drain.state.drained if one.drain else 0),
    "everfit_segments_set_aside": (
        "Segments that a person should look at.",
        lambda one: len(one.drain.state.set_aside) if one.drain else 0,
    ),
    "everfit_swaps": ("Times that another version took over.", lambda one: one.follower.state.swaps),
    "everfit_trial_predictions": ("Rows that a challenger on trial answered.", lambda one: one.trial.rows),
    "everfit_trial_fallbacks": ("Rows that the champion had to answer in its place.", lambda one: one.trial.failed),
    "everfit_shadow_predictions": (
        "Rows that a challenger predicted.",
        lambda one: one.shadow.rows if one.shadow else 0,
    ),
    "everfit_shadow_passed_over": (
        "Rows that a challenger didn't get to.",
        lambda one: one.shadow.passed_over if one.shadow else 0,
    ),
}


class _States(Collector):
    """Reads the endpoints' own states when it's asked, so that answering costs nothing for them."""

    def __init__(self, endpoints: Mapping[str, "Endpoint"]) -> None:
        self._endpoints = endpoints

    def collect(self) -> Iterator[Metric]:
        for kind, readings in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, (help_text, reading) in readings.items():
                family = kind(name, help_text, labels=["model"])
                for model, endpoint in self._endpoints.items():
                    family.add_metric([model], float(reading(endpoint)))
                yield family
