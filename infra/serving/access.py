"""Allowed callers, and how much at once: bearer tokens, rates and concurrency by client."""

import hashlib
import ipaddress
import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from everfit.blocks.errors import EverfitError

logger = logging.getLogger(__name__)

ANONYMOUS = "local"


class AccessError(EverfitError):
    """A request that is refused for who sends it, or how many of them.

    Attributes:
        status: The HTTP status to answer with.
        retry_after_s: When it may be tried again; 0 for never.
    """

    def __init__(self, message: str, status: int, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def new_token(client: str) -> tuple[str, str]:
    """Make a token.

    Args:
        client: Whom it's for.

    Returns:
        The token, which is shown once and kept nowhere, and the line for the token file.

    Raises:
        AccessError: the name can't be used.
    """
    if not client or not all(letter.isalnum() or letter in "-_." for letter in client):
        raise AccessError(f"client {client!r}: use letters, digits, hyphens, underscores and dots", 400)
    token = f"everfit_{secrets.token_urlsafe(32)}"
    return token, f"{client} {digest(token)}"


def digest(token: str) -> str:
    """What is kept of a token: it has 256 random bits, so its plain SHA-256 can't be searched for."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Tokens:
    """The token file: a line for each token, `client sha256`; `#` begins a comment.

    It's read again when it changes. A client may have several lines, so that a token can be replaced without a gap. A
    file that goes away lets nobody in; one that is broken changes nothing until it is mended.

    Args:
        path: The file; without it everybody is let in.
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
        """Whether a request needs a token."""
        return self._path is not None

    def client(self, authorization: str | None) -> str:
        """Whose token this is.

        Args:
            authorization: The request's header.

        Raises:
            AccessError: there is no token, or it's nobody's.
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
            raise AccessError("this token is not known; ask whoever runs the service for one", 401)
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
            logger.error("the token file can't be read, the tokens read before still count: %s", error)


def read_tokens(path: Path) -> dict[str, str]:
    """The clients of a token file, by the hashes of their tokens.

    Raises:
        OSError: it can't be read.
        ValueError: a line is not `client sha256`.
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
    """Bounds each client's requests per second, and those it has open.

    Args:
        rate: Requests per second, with bursts of up to two seconds' worth; no limit without it.
        concurrent: Requests open at once.
    """

    def __init__(self, rate: float | None, concurrent: int) -> None:
        self._rate, self._concurrent = rate, concurrent
        self._open: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Let a request in.

        Raises:
            AccessError: the client has too many open, or sent too many of late.
        """
        if self._open.get(client, 0) >= self._concurrent:
            raise AccessError(f"{self._concurrent} requests of this client are open already", 429, 1)
        if self._rate is not None:
            burst = max(1.0, 2 * self._rate)
            now = time.monotonic()
            left, at = self._buckets.get(client, (burst, now))
            left = min(burst, left + (now - at) * self._rate)
            self._buckets[client] = (left - 1 if left >= 1 else left, now)
            if left < 1:
                raise AccessError(f"more than {self._rate:g} requests per second", 429, max(1, round(1 / self._rate)))
        self._open[client] = self._open.get(client, 0) + 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
