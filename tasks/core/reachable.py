"""Find out at once that nobody listens at a server's address. Clients of libraries try for minutes."""

import socket
import urllib.request
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit

_SECONDS = 1.5

_LONGEST = 2**20
"""Bytes of an answer that are read."""

_NOBODY_BEHIND = {502, 503, 504}
"""HTTP status of a gateway or proxy whose server is gone; clients take it for a moment's trouble and try again."""


def why_unreachable(url: str, seconds: float = _SECONDS) -> str | None:
    """Return why a server can't be reached, or None if it can.

    A server that accepts the connection and answers slowly is there. An address that is none of HTTP is not tried.

    Args:
        url: Address of the server, under which `/health` is a page of Prefect and of MLflow.
        seconds: How long a connection may take.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or host is None:
        return None
    by_proxy = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
    try:
        if not by_proxy:
            socket.create_connection((host, parts.port or (443 if parts.scheme == "https" else 80)), seconds).close()
        return _gateway_answer(f"{url.rstrip('/')}/health", seconds)
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)


def why_no_mlflow(url: str, seconds: float = _SECONDS) -> str | None:
    """Return why the server at an address is no MLflow, or None if it may be one.

    Args:
        url: Address of the server, which can be reached.
        seconds: How long an answer may take; a slow server may be one.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        return None
    address = f"{url.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    problem = None
    try:
        with urllib.request.urlopen(address, timeout=seconds) as response:  # noqa: S310 - the scheme is checked
            if not _is_object(response.read(_LONGEST)):
                problem = "it answers, but not as MLflow does"
    except HTTPError as error:
        with error:
            # It wants a login, has trouble of its own, or answers with an error of MLflow.
            unknown = error.code in {401, 403, 407, 429} or (error.code >= 500 and error.code != 501)
            if not unknown and b"error_code" not in error.read(_LONGEST):
                problem = f"it answers, but not as MLflow does (HTTP status {error.code} {error.reason})"
    except HTTPException as error:
        problem = f"it answers, but does not speak HTTP ({type(error).__name__})"
    except (OSError, ValueError):
        pass  # It is slow, or has an unknown certificate: the client says more about it.
    return problem


def _is_object(body: bytes) -> bool:
    text = body.strip()
    return text.startswith(b"{") and (len(body) == _LONGEST or text.endswith(b"}"))


def _gateway_answer(url: str, seconds: float) -> str | None:
    """Return what a gateway or proxy says of a server that is gone; None for any other answer, or none."""
    try:
        with urllib.request.urlopen(url, timeout=seconds):  # noqa: S310 - the scheme is checked
            return None
    except HTTPError as error:
        with error:
            return f"HTTP status {error.code} {error.reason}".rstrip() if error.code in _NOBODY_BEHIND else None
    except (OSError, HTTPException, ValueError):
        return None  # such as an unknown certificate: the client says more about it
