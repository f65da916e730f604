"""Find out at once that nobody listens at a server's address. Clients of libraries try for minutes."""

import socket
import urllib.request
from urllib.parse import urlsplit

_SECONDS = 1.5


def why_unreachable(url: str, seconds: float = _SECONDS) -> str | None:
    """Return why a server can't be connected to, or None if it can.

    An address that is reached by a proxy, or is none of HTTP, is not tried.

    Args:
        url: Address of the server.
        seconds: How long a connection may take.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or host is None:
        return None
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return None
    try:
        with socket.create_connection((host, parts.port or (443 if parts.scheme == "https" else 80)), seconds):
            return None
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
