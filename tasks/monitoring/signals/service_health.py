"""How the service is doing: from the prediction log, and from what each service tells of itself.

A service counts since it started, so what it told at the window before is taken off. It tells of now: of a window that
lies in the past (history that is replayed) it knows nothing, and isn't asked again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import numpy as np

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.policy import format_duration
from everfit.tasks.core.records import Record
from everfit.tasks.monitoring.window import Live
from everfit.tasks.release.service_addresses import addresses_of
from everfit.tasks.sources.secrets import reveal
from everfit.tasks.triage.signals import OperationsSignal

_ANSWER_WITHIN = 5.0
"""Seconds that a service has to tell its metrics."""


class ServiceState(Record):
    """What one service told of itself.

    Attributes:
        name: Its host and port.
        problem: Why it told nothing; empty if it did.
        requests: Answered since it started.
        errors: Those that ended in an error of its own (5xx).
        spool_age_s: Age of the oldest prediction that the prediction log doesn't have.
    """

    name: str
    problem: str = ""
    requests: float = 0.0
    errors: float = 0.0
    spool_age_s: float = 0.0


def ask_services(
    services: Sequence[str], model: str, policy: MonitoringPolicy, until: datetime
) -> tuple[ServiceState, ...]:
    """Ask the services of a model for their metrics.

    Args:
        services: Base URLs, as `addresses_of` takes them.
        model: Its name.
        policy: The window, and the token.
        until: The end of the window; a service whose clock is a window later has nothing to say of it.

    Raises:
        SourceError: the token is to come from where it isn't.
    """
    if not services:
        return ()
    import httpx

    token = policy.service_health.token
    headers = {"authorization": f"Bearer {reveal(token, 'monitoring.service_health.token')}"} if token else {}
    found: list[ServiceState] = []
    addresses: list[str] = []
    with httpx.Client(timeout=_ANSWER_WITHIN, headers=headers) as client:
        for service in services:
            try:
                addresses += addresses_of(service)
            except OSError as error:
                name = urlsplit(service).netloc
                found.append(ServiceState(name=name, problem=f"has no address ({error.strerror})"))
        for service in addresses:
            name = urlsplit(service).netloc
            try:
                answer = client.get(f"{service}/metrics")
                answer.raise_for_status()
                if parsedate_to_datetime(answer.headers["date"]) - until > policy.window:
                    continue
                found.append(service_state(name, model, answer.text))
            except httpx.HTTPStatusError as error:
                found.append(ServiceState(name=name, problem=f"answers {error.response.status_code}"))
            except (httpx.HTTPError, KeyError, ValueError) as error:
                found.append(ServiceState(name=name, problem=f"tells no metrics ({type(error).__name__})"))
    return tuple(found)


def service_state(name: str, model: str, text: str) -> ServiceState:
    """What a service tells of a model.

    Args:
        name: Of the service.
        model: The model's name.
        text: Its metrics, in Prometheus' format.

    Raises:
        ValueError: it isn't that format.
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


def operations_signal(
    live: Live, states: Sequence[ServiceState], before: Mapping[str, float], policy: MonitoringPolicy
) -> OperationsSignal:
    """How the service is doing.

    Args:
        live: The window of the log.
        states: What the services told.
        before: The figures of the window before.
        policy: The bounds.
    """
    bounds = policy.service_health
    figures: dict[str, float] = {f"version_{version}": float(count) for version, count in live.versions.items()}
    alarms: list[str] = []
    if live.latencies.size:
        figures |= {f"p{share}_ms": float(np.percentile(live.latencies, share)) for share in (50, 99)}
        if bounds.max_p99_ms is not None and figures["p99_ms"] > bounds.max_p99_ms:
            alarms.append(
                f"1 % of the predictions took {figures['p99_ms']:.3g} ms or more; {bounds.max_p99_ms:g} may be"
            )
    if live.outliers.size:
        figures["outlier_share"] = share = float((live.outliers > live.outlier_above).mean())
        if share > bounds.max_outlier_share:
            words = f"{share:.1%} of the rows are unlike the training data; {bounds.max_outlier_share:.1%} may be"
            alarms.append(words)
    alarms += [f"the service {each.name} {each.problem}" for each in states if each.problem]
    told = [each for each in states if not each.problem]
    if told:
        since = [_since(each, before) for each in told]
        requests, errors = (sum(each[place] for each in since) for place in (0, 1))
        figures |= {f"requests {each.name}": each.requests for each in told}
        figures |= {f"errors {each.name}": each.errors for each in told}
        figures |= {"error_rate": errors / requests if requests else 0.0}
        figures |= {"spool_age_s": max(each.spool_age_s for each in told)}
        if figures["error_rate"] > bounds.max_error_rate:
            alarms.append(f"{figures['error_rate']:.1%} of {requests:,.0f} requests ended in an error of the service")
        if figures["spool_age_s"] > bounds.max_spool_age.total_seconds():
            alarms.append(
                f"predictions wait for the log since {figures['spool_age_s']:,.0f} s; "
                f"{format_duration(bounds.max_spool_age)} is allowed"
            )
    return OperationsSignal(status="measured", predictions=live.rows, figures=figures, alarms=tuple(alarms))


def _since(state: ServiceState, before: Mapping[str, float]) -> tuple[float, float]:
    """Requests and errors since the window before; all of them if the service has started anew."""
    old = [before.get(f"{what} {state.name}", 0.0) for what in ("requests", "errors")]
    if state.requests < old[0] or state.errors < old[1]:
        old = [0.0, 0.0]
    return state.requests - old[0], state.errors - old[1]
