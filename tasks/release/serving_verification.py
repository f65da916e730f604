"""Verify which version is served: by the registry's alias and by the prediction services."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from everfit.tasks.registry import model_registry
from everfit.tasks.release.service_addresses import addresses_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx
    from mlflow import MlflowClient

_ANSWER_WITHIN = 5.0
"""Seconds that a service may take for one response."""


def why_not_served(
    client: "MlflowClient", model: str, version: int, services: "Sequence[str]", within: timedelta
) -> str | None:
    """Return why a version is not served, or None if it is.

    Args:
        client: MLflow client of the registry.
        model: Name of the model.
        version: The version that should be champion.
        services: Base URLs, as for `addresses_of`; `GET {url}/models/{model}` returns the `version` of each.
        within: How long the services may take; each is requested at least once.
    """
    champion = model_registry.champion(client, model)
    if champion is None or champion.version != version:
        return f"the champion alias names {f'version {champion.version}' if champion else 'no version'}"
    if not services:
        return None

    import httpx

    give_up = time.monotonic() + within.total_seconds()
    waiting = dict.fromkeys(services, "was not requested yet")
    pause = 0.1
    with httpx.Client(timeout=_ANSWER_WITHIN) as http:
        while True:
            for service in list(waiting):
                problem = _problem(http, service, model, version)
                if problem is None:
                    del waiting[service]
                else:
                    waiting[service] = problem
            if not waiting:
                return None
            if time.monotonic() >= give_up:
                return "; ".join(f"{service} {problem}" for service, problem in waiting.items())
            time.sleep(min(pause, max(0.0, give_up - time.monotonic())))
            pause = min(1.5 * pause, 2.0)


def _problem(http: "httpx.Client", service: str, model: str, version: int) -> str | None:
    try:
        addresses = addresses_of(service)  # resolved each time, as the number of addresses may change
    except OSError as error:
        return f"has no address ({error.strerror})"
    for address in addresses:
        problem = _problem_at(http, address, model, version)
        if problem is not None:
            return problem if address == service else f"at {address} {problem}"
    return None


def _problem_at(http: "httpx.Client", service: str, model: str, version: int) -> str | None:
    import httpx

    try:
        response = http.get(f"{service}/models/{model}")
        response.raise_for_status()
        served = response.json()["version"]
    except httpx.HTTPStatusError as error:
        return f"answers {error.response.status_code}"
    except httpx.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    except (ValueError, KeyError, TypeError):
        return "does not say which version it serves"
    return None if str(served) == str(version) else f"serves version {served}"
