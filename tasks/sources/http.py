"""Requests to the web: who may be asked, how often, and for how much."""

import ipaddress
import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from everfit.blocks.errors import SourceError

if TYPE_CHECKING:
    import httpx

_AGAIN = frozenset({429, 500, 502, 503, 504})
_LONGEST_WAIT = 60.0


def check_address(url: str, allowed_hosts: Collection[str]) -> str:
    """Refuse plain http, except to this machine and to hosts that are allowed by name.

    Raises:
        SourceError: the address would send or fetch in the clear.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" and host:
        return url
    if parts.scheme == "http" and (host in allowed_hosts or _is_loopback(host)):
        return url
    raise SourceError(f"{url!r} is not https; use https, or name {host!r} under source.allowed_hosts")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def stream_response(
    client: "httpx.Client", url: str, *, retries: int, deadline: float, parameters: dict[str, str] | None = None
) -> "Iterator[httpx.Response]":
    """Stream an answer; 429, 5xx and broken connections are tried again, each time after a longer wait.

    Args:
        client: With time limits.
        url: The address; redirects are not followed, since they may lead anywhere.
        retries: How often to try again.
        deadline: Of `time.monotonic`, after which nothing is tried again.
        parameters: Of the query.

    Raises:
        SourceError: the answer is not a success.
    """
    import httpx

    for attempt in range(retries + 1):
        try:
            response = client.send(client.build_request("GET", url, params=parameters), stream=True)
        except httpx.TransportError as error:
            if attempt == retries or time.monotonic() > deadline:
                raise SourceError(f"{url!r} can't be reached: {type(error).__name__}: {error}") from error
            wait = _pause(attempt, None)
        else:
            if response.is_success:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.close()
            if response.status_code not in _AGAIN or attempt == retries or time.monotonic() > deadline:
                raise SourceError(_refused(url, response))
            wait = _pause(attempt, response.headers.get("retry-after"))
        time.sleep(max(0.0, min(wait, deadline - time.monotonic())))


def _refused(url: str, response: "httpx.Response") -> str:
    hint = {401: "check source.token", 403: "check source.token", 404: "check the address"}.get(
        response.status_code, "try again later"
    )
    if response.is_redirect:
        hint = f"it leads to {response.headers.get('location')!r}; give that address if it is right"
    return f"{url!r} answered {response.status_code}; {hint}"


def _pause(attempt: int, asked_for: str | None) -> float:
    """Seconds to wait: as long as the server asks, else twice as long each time, with some chance."""
    if asked_for is not None and asked_for.isdigit():
        return min(float(asked_for), _LONGEST_WAIT)
    return min(0.25 * 2.0**attempt * random.uniform(0.75, 1.25), _LONGEST_WAIT)  # noqa: S311 - spreads the load
