"""Count the service's events for Prometheus."""

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
        endpoints: Endpoint of each model.
    """

    def __init__(self, endpoints: Mapping[str, "Endpoint"]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "everfit_requests", "Requests by status of the response.", ["model", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "everfit_request_seconds", "Time to respond.", ["model"], buckets=_SECONDS, registry=self.registry
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
        """Count an input that was refused because of a column."""
        self._refusals.labels(model, column).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' format."""
        return generate_latest(self.registry)


_Reading = Callable[["Endpoint"], float]

_GAUGES: dict[str, tuple[str, _Reading]] = {
    "everfit_model_version": (
        "Served version.",
        lambda one: one.champion.version.version if one.champion else 0,
    ),
    "everfit_waiting_rows": ("Rows that wait for their prediction.", lambda one: one.batcher.waiting),
    "everfit_spool_bytes": ("Bytes in the spool.", lambda one: one.spool.held_bytes),
    "everfit_spool_age_seconds": ("Age of the oldest predictions in the spool.", lambda one: one.spool.held_seconds),
    "everfit_spool_max_bytes": ("Maximum size of the spool.", lambda one: one.spool.max_bytes),
    "everfit_label_spool_bytes": ("Bytes in the spool of labels.", lambda one: one.label_journal.spool.held_bytes),
    "everfit_label_drain_failures": (
        "Failed writes of labels into their table in a row.",
        lambda one: one.label_journal.drain.state.failures,
    ),
    "everfit_registry_reachable": ("1 if the registry answers.", lambda one: one.follower.state.registry_reachable),
    "everfit_failed_version": ("Version that couldn't be served.", lambda one: one.follower.state.failed_version or 0),
    "everfit_segments_aside": (
        "Segments set aside for a person to inspect.",
        lambda one: one.spool.aside + one.label_journal.spool.aside,
    ),
    "everfit_probing_clients": (
        "Clients that are flagged for probing.",
        lambda one: one.predictor.probing.flagged if one.predictor.probing else 0,
    ),
    "everfit_drain_failures": ("Failed drains in a row.", lambda one: one.drain.state.failures if one.drain else 0),
}
_COUNTERS: dict[str, tuple[str, _Reading]] = {
    "everfit_predictions": (
        "Rows that were predicted and logged.",
        lambda one: one.batcher.rows + one.trial.rows,
    ),
    "everfit_batches": ("Micro-batches.", lambda one: one.batcher.batches),
    "everfit_outliers": (
        "Predicted rows that were flagged as outliers.",
        lambda one: one.batcher.outliers + one.trial.outliers,
    ),
    "everfit_abstained": (
        "Predicted rows that were too unsure by the spec.",
        lambda one: one.batcher.abstained + one.trial.abstained,
    ),
    "everfit_refused_outliers": ("Rows that were refused as outliers.", lambda one: one.predictor.refused_outliers),
    "everfit_probing_rows": (
        "Rows of clients that were flagged for probing.",
        lambda one: one.predictor.probing.flagged_rows if one.predictor.probing else 0,
    ),
    "everfit_refused_probing": ("Rows that were refused for probing.", lambda one: one.predictor.refused_probing),
    "everfit_drained": ("Rows added to the log.", lambda one: one.drain.state.drained if one.drain else 0),
    "everfit_segments_set_aside": (
        "Segments that a person should inspect.",
        lambda one: sum(len(drain.state.set_aside) for drain in (one.drain, one.label_journal.drain) if drain),
    ),
    "everfit_labels_recorded": ("Labels added to their table.", lambda one: one.label_journal.drain.state.drained),
    "everfit_swaps": ("Times that another version took over.", lambda one: one.follower.state.swaps),
    "everfit_trial_predictions": ("Rows predicted by a challenger on trial.", lambda one: one.trial.rows),
    "everfit_trial_fallbacks": ("Rows that the champion predicted in its place.", lambda one: one.trial.failed),
    "everfit_shadow_predictions": (
        "Rows that a challenger predicted.",
        lambda one: one.shadow.rows,
    ),
    "everfit_shadow_passed_over": (
        "Rows that a shadow has skipped.",
        lambda one: one.shadow.passed_over,
    ),
}


class _States(Collector):
    """Reads the endpoints' states on request, so that predicting costs nothing extra."""

    def __init__(self, endpoints: Mapping[str, "Endpoint"]) -> None:
        self._endpoints = endpoints

    def collect(self) -> Iterator[Metric]:
        for kind, readings in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, (help_text, reading) in readings.items():
                family = kind(name, help_text, labels=["model"])
                for model, endpoint in self._endpoints.items():
                    family.add_metric([model], float(reading(endpoint)))
                yield family
