"""The evidence area `service_health`: latency, errors and spool age, from the prediction log and the services' metrics.

A service counts since it started, so the counts at the previous window are subtracted. A service only knows the
present: for a window in the past (a replay of history) its metrics mean nothing and are left out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from everfit.blocks.monitoring import MonitoringPolicy, ServiceHealthPolicy
from everfit.blocks.policy import format_duration
from everfit.tasks.core.records import Record
from everfit.tasks.core.secrets import reveal
from everfit.tasks.monitoring.live_predictions import LivePredictions
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.client_shares import all_labellers, labellers, with_clients
from everfit.tasks.release.service_addresses import addresses_of
from everfit.tasks.triage.signals import ServiceHealthSignal

_TIMEOUT = 5.0
"""Seconds that a service has to return its metrics."""


def check_services(window: MonitoredWindow) -> ServiceHealthSignal:
    """Read the services' metrics and compare them with the spec's bounds."""
    monitored = window.monitored
    spec, judged = monitored.context.spec, monitored.judged
    states = read_services(spec.release.services, spec.name, spec.monitoring, monitored.until)
    previous = judged[-1].signals.service_health.figures if judged else {}
    signal = service_health_signal(window.live, states, previous, spec.monitoring)
    policy, given, left_out = spec.monitoring.clients, labellers(window.mature_answers), 0
    if policy.max_share < 1:
        counted, given = sum(given.values()), all_labellers(monitored)
        left_out = max(0, sum(given.values()) - counted)
    return with_clients(signal, window.live, given, previous, policy, labels_left_out=left_out)


def services_are_well(monitored: MonitoredModel) -> bool:
    """Return whether all services answer and keep within their bounds since the last look that measured."""
    spec, judged = monitored.context.spec, monitored.judged
    states = read_services(spec.release.services, spec.name, spec.monitoring, monitored.until)
    previous = judged[-1].signals.service_health.figures if judged else {}
    return not compare_states(states, previous, spec.monitoring.service_health)[1]


class ServiceState(Record):
    """The metrics of one service.

    Attributes:
        name: Its host and port.
        problem: Why there are no metrics; empty if there are.
        requests: Requests since it started.
        errors: Requests that ended in an error of the service (5xx).
        spool_age_s: Age of the oldest prediction that is not in the prediction log, in seconds.
    """

    name: str
    problem: str = ""
    requests: float = 0.0
    errors: float = 0.0
    spool_age_s: float = 0.0


def read_services(
    services: Sequence[str], model: str, policy: MonitoringPolicy, until: datetime
) -> tuple[ServiceState, ...]:
    """Read the metrics of a model's services.

    Args:
        services: Base URLs, as `addresses_of` takes them.
        model: The model's name.
        policy: The window's length, and the token.
        until: The end of the window; a service whose clock is a window later is left out.

    Raises:
        SourceError: the token cannot be read.
    """
    if not services:
        return ()
    import httpx

    token = policy.service_health.token
    headers = {"authorization": f"Bearer {reveal(token, 'monitoring.service_health.token')}"} if token else {}
    states: list[ServiceState] = []
    addresses: list[str] = []
    with httpx.Client(timeout=_TIMEOUT, headers=headers) as client:
        for service in services:
            try:
                addresses += addresses_of(service)
            except OSError as error:
                name = urlsplit(service).netloc
                states.append(ServiceState(name=name, problem=f"has no address ({error.strerror})"))
        for address in addresses:
            name = urlsplit(address).netloc
            try:
                response = client.get(f"{address}/metrics")
                response.raise_for_status()
                if parsedate_to_datetime(response.headers["date"]) - until > policy.window:
                    continue
                states.append(service_state(name, model, response.text))
            except httpx.HTTPStatusError as error:
                states.append(ServiceState(name=name, problem=f"answers {error.response.status_code}"))
            except (httpx.HTTPError, KeyError, ValueError) as error:
                states.append(ServiceState(name=name, problem=f"returns no metrics ({type(error).__name__})"))
    return tuple(states)


def service_state(name: str, model: str, text: str) -> ServiceState:
    """Read a service's metrics of one model.

    Args:
        name: The service's host and port.
        model: The model's name.
        text: The metrics in Prometheus' format.

    Raises:
        ValueError: the text has another format.
    """
    from prometheus_client.parser import text_string_to_metric_families

    requests = errors = age = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("model") != model:
                continue
            if sample.name == "everfit_requests_total":
                requests += sample.value
                errors += sample.value * sample.labels["status"].startswith("5")
            elif sample.name == "everfit_spool_age_seconds":
                age = sample.value
    return ServiceState(name=name, requests=requests, errors=errors, spool_age_s=age)


def service_health_signal(
    live: LivePredictions, states: Sequence[ServiceState], previous: Mapping[str, float], policy: MonitoringPolicy
) -> ServiceHealthSignal:
    """Compare the service's figures with their bounds.

    Args:
        live: The window of the prediction log.
        states: The metrics of each service.
        previous: The figures of the previous window.
        policy: The bounds.
    """
    bounds = policy.service_health
    figures: dict[str, float] = {f"version_{version}": float(count) for version, count in live.versions.items()}
    alarms: list[str] = []
    if live.latencies.size:
        figures |= {f"p{share}_ms": live.latencies.percentile(share) for share in (50, 99)}
        if bounds.max_p99_ms is not None and figures["p99_ms"] > bounds.max_p99_ms:
            alarms.append(f"p99 latency is {figures['p99_ms']:.3g} ms, above the limit of {bounds.max_p99_ms:g} ms")
    known, flagged = live.outliers
    if known:
        figures["outlier_share"] = share = flagged / known
        if share > bounds.max_outlier_share:
            limit = bounds.max_outlier_share
            alarms.append(f"{share:.1%} of the rows are unlike the training data, above the limit of {limit:.1%}")
    of_services, more = compare_states(states, previous, bounds)
    figures |= of_services
    alarms += more
    return ServiceHealthSignal(status="measured", predictions=live.rows, figures=figures, alarms=tuple(alarms))


def compare_states(
    states: Sequence[ServiceState], previous: Mapping[str, float], bounds: ServiceHealthPolicy
) -> tuple[dict[str, float], list[str]]:
    """Compare the metrics of services with their bounds.

    Args:
        states: The metrics of each service.
        previous: The figures of the previous window.
        bounds: The bounds.

    Returns:
        The figures, and a sentence for each that is out of bounds.
    """
    figures: dict[str, float] = {}
    alarms = [f"the service {state.name} {state.problem}" for state in states if state.problem]
    reachable = [state for state in states if not state.problem]
    if reachable:
        counts = [_since_previous(state, previous) for state in reachable]
        requests, errors = (sum(count[place] for count in counts) for place in (0, 1))
        figures |= {f"requests {state.name}": state.requests for state in reachable}
        figures |= {f"errors {state.name}": state.errors for state in reachable}
        figures |= {"error_rate": errors / requests if requests else 0.0}
        figures |= {"spool_age_s": max(state.spool_age_s for state in reachable)}
        if figures["error_rate"] > bounds.max_error_rate:
            alarms.append(
                f"{figures['error_rate']:.1%} of {requests:,.0f} requests ended in an error of the service, above the "
                f"limit of {bounds.max_error_rate:.1%}"
            )
        if figures["spool_age_s"] > bounds.max_spool_age.total_seconds():
            alarms.append(
                f"predictions have waited {figures['spool_age_s']:,.0f} s for the prediction log, above the limit of "
                f"{format_duration(bounds.max_spool_age)}"
            )
    return figures, alarms


def _since_previous(state: ServiceState, previous: Mapping[str, float]) -> tuple[float, float]:
    """Return requests and errors since the previous window; all of them if the service has restarted."""
    requests, errors = (previous.get(f"{count} {state.name}", 0.0) for count in ("requests", "errors"))
    if state.requests < requests or state.errors < errors:
        requests, errors = 0.0, 0.0
    return state.requests - requests, state.errors - errors
