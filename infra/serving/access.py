"""Control access: bearer tokens, and each client's rate and concurrency."""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.hosts import is_loopback

logger = logging.getLogger(__name__)

ANONYMOUS = "local"


class AccessError(EverfitError):
    """A request that is refused because of its client, or of the client's rate.

    Attributes:
        status: HTTP status of the response.
        retry_after_s: Seconds after which to retry; 0 for never.
    """

    def __init__(self, message: str, status: int, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def new_token(client: str) -> tuple[str, str]:
    """Make a token.

    Args:
        client: Name of the client.

    Returns:
        The token, which is shown once and stored nowhere, and the line for the token file.

    Raises:
        AccessError: If the name can't be used.
    """
    if not client or not all(letter.isalnum() or letter in "-_." for letter in client):
        raise AccessError(f"client {client!r}: use letters, digits, hyphens, underscores and dots", 400)
    token = f"everfit_{secrets.token_urlsafe(32)}"
    return token, f"{client} {digest(token)}"


def digest(token: str) -> str:
    """Return the stored form of a token: it has 256 random bits, so its plain SHA-256 can't be searched for."""
    return hashlib.sha256(token.encode()).hexdigest()


_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._~-]*))(?::[0-9]{0,5})?")


def is_host(host: str) -> bool:
    """Return whether a text can be a request's `Host`: a name or an address, and a port."""
    return _HOST.fullmatch(host) is not None


def _host_name(host: str) -> str:
    """Return the name or the address of a `Host` without its port; empty if it is malformed."""
    found = _HOST.fullmatch(host)
    return "" if found is None else (found["address"] or found["name"] or "").lower()


def refuse_other_sites(host: str, origin: str | None) -> None:
    """Refuse a request that a browser on this machine sends for a page of another site.

    Such a page could post labels, or read the model's state through a name that its owner points at this machine.

    Args:
        host: The request's `Host`.
        origin: The request's `Origin`, which browsers send with requests that may change something.

    Raises:
        AccessError: If the host is not this machine, or the page is of another host.
    """
    if not is_loopback(_host_name(host)):
        raise AccessError(
            f"the host {host[:80]!r} is not this machine, and without a token file only this machine is answered; "
            "request localhost, or start the service with --tokens",
            403,
        )
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        raise AccessError(
            f"the page at {origin[:80]!r} may not send requests to this service; start the service with --tokens",
            403,
        )


class Tokens:
    """The token file: one line per token, `client sha256`; `#` starts a comment.

    The file is read again when it changes. A client may have several lines, so a token can be replaced without a gap.
    If the file is deleted, nobody has access; a broken file changes nothing until it is repaired.

    Args:
        path: The file; without it every client has access.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._clients: dict[str, str] = {}
        self._checked = 0.0
        if path is not None:
            self._read()

    @property
    def required(self) -> bool:
        """Return whether a request needs a token."""
        return self._path is not None

    def client(self, authorization: str | None) -> str:
        """Return the client of a token.

        Args:
            authorization: The request's header.

        Raises:
            AccessError: If there is no token, or it is unknown.
        """
        if self._path is None:
            return ANONYMOUS
        if time.monotonic() - self._checked > 1.0:
            self._read()
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AccessError("a bearer token is needed: send `Authorization: Bearer …`", 401)
        client = self._clients.get(digest(token.strip()))
        if client is None:
            raise AccessError("this token is unknown; ask the operator of the service for a new one", 401)
        return client

    def _read(self) -> None:
        assert self._path is not None  # noqa: S101 - only called with a file
        self._checked = time.monotonic()
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._clients = read_tokens(self._path)
            self._stamp = stamp
        except FileNotFoundError:
            self._clients, self._stamp = {}, None
        except (OSError, ValueError) as error:
            logger.error("the token file can't be read, so the earlier tokens stay valid: %s", error)


def read_tokens(path: Path) -> dict[str, str]:
    """Return the clients of a token file by the hashes of their tokens.

    Raises:
        OSError: If the file can't be read.
        ValueError: If a line is not `client sha256`.
    """
    clients = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        parts = line.split("#", 1)[0].split()
        if not parts:
            continue
        if len(parts) != 2 or len(parts[1]) != 64 or set(parts[1]) - set("0123456789abcdef"):
            raise ValueError(f"line {number} is not `client sha256`")
        clients[parts[1]] = parts[0]
    return clients


class Limiter:
    """Limits each client's requests per second and its open requests.

    Args:
        rate: Requests per second, with bursts of up to two seconds' worth; None for no limit.
        concurrent: Maximum number of open requests.
    """

    def __init__(self, rate: float | None, concurrent: int) -> None:
        self._rate, self._concurrent = rate, concurrent
        self._open: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Admit a request.

        Raises:
            AccessError: If the client has too many open requests, or sends them too fast.
        """
        if self._open.get(client, 0) >= self._concurrent:
            raise AccessError(
                f"this client already has {self._concurrent} open requests; retry when one is done", 429, 1
            )
        if self._rate is not None:
            burst = max(1.0, 2 * self._rate)
            now = time.monotonic()
            left, at = self._buckets.get(client, (burst, now))
            left = min(burst, left + (now - at) * self._rate)
            self._buckets[client] = (left - 1 if left >= 1 else left, now)
            if left < 1:
                raise AccessError(
                    f"more than {self._rate:g} requests per second; retry later", 429, max(1, round(1 / self._rate))
                )
        self._open[client] = self._open.get(client, 0) + 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
