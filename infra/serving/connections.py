"""Limit what a connection may cost before anybody knows whose it is.

A request is authenticated when its headers are complete. Until then its bytes, its header lines and its time are
limited, and so is the number of connections. Connections that send nothing, or read nothing, are closed.
"""

import asyncio
import resource
import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from everfit.infra.serving.whole_responses import WholeResponses

if TYPE_CHECKING:
    from asyncio import TimerHandle

MOST_ADDRESS_BYTES = 8 * 2**10
MOST_HEAD_BYTES = 32 * 2**10
MOST_HEADERS = 100
MOST_AHEAD = 100
"""Requests of a connection that are sent before the response to an earlier one; each costs memory until its turn."""
MOST_UNREAD_BYTES = 16 * 2**20
"""Bytes of a body that arrive after the response, such as that of a request that was refused by its headers."""
HEAD_SECONDS = 10.0
"""Time from the connection, or from the first byte of a further request, to the end of its headers."""
READ_SECONDS = 30.0
"""Time in which a client must read what the server could not send yet."""
IDLE_SECONDS = 75
"""Time for which a connection without a request stays open: longer than clients and proxies keep one (httpx 5 s, nginx
and the load balancers of clouds 60 s), because a request that meets a close on its way is lost."""
MOST_CONNECTIONS = 1_000
"""Connections of a process; of more, those that have been idle for longest are closed."""

_END = b"\r\n\r\n"
_REFUSALS = {
    408: b"the headers did not arrive in time; send the request again",
    414: b"the address is too long; send values in the body",
    431: b"the headers are too large or too many; send fewer",
}
_PHRASES = {408: b"Request Timeout", 414: b"URI Too Long", 431: b"Request Header Fields Too Large"}


def most_connections() -> int:
    """Return the number of connections of a process, at most half of the files that it may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)


class LimitedProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """Uvicorn's protocol with limits; `uvicorn.Config(http=…)` takes it."""

    head_seconds, read_seconds = HEAD_SECONDS, READ_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.timeout_keep_alive = IDLE_SECONDS
        self._head = self._lines = self._unread = self._behind = 0
        self._tail = b""
        self._in_address = True
        self._head_timer: TimerHandle | None = None
        self._read_timer: TimerHandle | None = None
        self.active_at = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, and close the one that has been idle for longest if there are too many."""
        super().connection_made(transport)
        self.transport = WholeResponses(transport, self.loop)
        self._head_timer = self._after(self.head_seconds, self._head_is_late)
        if len(self.connections) > most_connections():
            idle = [one for one in self.connections if isinstance(one, LimitedProtocol) and one.is_idle]
            oldest = min(idle, key=lambda one: one.active_at, default=self)
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of headers before the parser reads them."""
        self.active_at = time.monotonic()
        earlier = self.cycle
        waits_for_body = earlier is not None and earlier.more_body
        if waits_for_body and not earlier.response_complete:
            super().data_received(data)  # the endpoint limits the size and the time of a body
            return
        if waits_for_body:
            self._unread += len(data)
            status = 431 if self._unread > MOST_UNREAD_BYTES else None
        else:
            status = self._excess(data)
        if status is not None:
            self._refuse(status)
            return
        if self._head_timer is None:
            self._head_timer = self._after(self.head_seconds, self._head_is_late)
        super().data_received(data)
        if self.cycle is not earlier:  # the headers are complete
            self._head = self._lines = self._unread = 0
            self._tail, self._in_address = b"", True
            self._cancel_timers()
        elif not waits_for_body:
            self._head += self._behind  # the end was that of empty lines, which the parser skips

    def on_headers_complete(self) -> None:
        """Take a request, unless too many of the connection wait already; the parser calls it."""
        if len(self.pipeline) >= MOST_AHEAD:
            self.transport.close()
            raise ConnectionError("too many requests were sent ahead of their responses")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser can't read, on a connection that is still open."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers of the connection."""
        self._cancel_timers()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give a client that does not read its response some time."""
        super().pause_writing()
        if self._read_timer is None:
            self._read_timer = self._after(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on with a client that reads again."""
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        super().resume_writing()

    @property
    def is_idle(self) -> bool:
        """Return whether no request of the connection is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _excess(self, data: bytes) -> int | None:
        """Count the part of the bytes that belongs to a request's headers; return the status if it is too much."""
        joined = self._tail + data
        end = joined.find(_END)
        part = data if end < 0 else data[: max(0, end - len(self._tail))]
        self._behind = len(data) - len(part)
        self._tail = joined[-len(_END) + 1 :]
        if self._in_address:
            line = part.find(b"\n")
            if self._head + (len(part) if line < 0 else line) > MOST_ADDRESS_BYTES:
                return 414
            self._in_address = line < 0
        self._head += len(part)
        self._lines += part.count(b"\n")
        return 431 if self._head > MOST_HEAD_BYTES or self._lines > MOST_HEADERS + 1 else None

    def _refuse(self, status: int) -> None:
        text = _REFUSALS[status]
        if self.is_idle:
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, _PHRASES[status], len(text), text)
            )
        self.transport.close()
        self._cancel_timers()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._head:
            self._refuse(408)
        else:
            self.transport.close()  # it never sent anything

    def _after(self, seconds: float, call: Any) -> "TimerHandle":
        timer: TimerHandle = self.loop.call_later(seconds, call)
        return timer

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._read_timer = None
