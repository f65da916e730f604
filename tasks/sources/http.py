"""Send HTTP requests within limits: allowed hosts, retries and a deadline."""

import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from everfit.blocks.errors import SourceError
from everfit.tasks.core.hosts import is_loopback

if TYPE_CHECKING:
    import httpx

_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_LONGEST_WAIT = 60.0  # seconds


def check_address(url: str, allowed_hosts: Collection[str]) -> str:
    """Refuse plain HTTP, except to this machine and to hosts that the spec allows by name.

    Raises:
        SourceError: If the address would send or fetch data unencrypted.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" and host:
        return url
    if parts.scheme == "http" and (host in allowed_hosts or is_loopback(host)):
        return url
    raise SourceError(f"{url!r} is not https; use https, or add {host!r} to source.allowed_hosts")


@contextmanager
def stream_response(
    client: "httpx.Client", url: str, *, retries: int, deadline: float, parameters: dict[str, str] | None = None
) -> "Iterator[httpx.Response]":
    """Stream a response; retry 429, 5xx and broken connections, and wait longer after each failure.

    Args:
        client: Client with timeouts.
        url: The address. Redirects are not followed, because they may lead to any host.
        retries: Number of retries.
        deadline: Time on the clock of `time.monotonic` after which nothing is retried.
        parameters: Query parameters.

    Raises:
        SourceError: If the response is not a success.
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
            if response.status_code not in _RETRIED_STATUSES or attempt == retries or time.monotonic() > deadline:
                raise SourceError(_refused(url, response))
            wait = _pause(attempt, response.headers.get("retry-after"))
        time.sleep(max(0.0, min(wait, deadline - time.monotonic())))


def _refused(url: str, response: "httpx.Response") -> str:
    hint = {401: "check source.token", 403: "check source.token", 404: "check the address"}.get(
        response.status_code, "try again later"
    )
    if response.is_redirect:
        hint = f"it redirects to {response.headers.get('location')!r}; use that address if it is right"
    return f"{url!r} answered {response.status_code}; {hint}"


def _pause(attempt: int, retry_after: str | None) -> float:
    """Return the seconds to wait: the server's `Retry-After`, or a time that doubles with some jitter."""
    if retry_after is not None and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_WAIT)
    return min(0.25 * 2.0**attempt * random.uniform(0.75, 1.25), _LONGEST_WAIT)  # noqa: S311 - spreads the load
