"""Send the head of a response together with its body.

Uvicorn writes them one after the other: two calls of the system, two packets, and a client that is woken twice.
"""

import asyncio
from typing import Any

_FINAL, _INTERIM = b"HTTP/1.1 ", b"HTTP/1.1 1"


class WholeResponses:
    """A connection's transport that holds the head of a response until its body is written.

    A head without a body, such as that of an answer to HEAD, goes out in the next round of the event loop.

    Args:
        transport: The transport of the connection.
        loop: The event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._head = transport, loop, b""

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the transport itself."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write some bytes, behind the head that waits."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_FINAL) and data.endswith(b"\r\n\r\n") and not data.startswith(_INTERIM):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection when all that was written is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)
