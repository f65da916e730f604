"""A proxy in front of a server, which cuts or holds all its connections at a chosen moment."""

import socket
import threading
from contextlib import suppress

_CHUNK = 16_384


class Proxy:
    """Passes bytes on between clients and a server, until a cut.

    Args:
        server: The server's host and port, or the path of its socket.

    Attributes:
        port: Where it listens, on this machine.
        passed: Number of chunks that were passed on since the last `cut` or `restore`.
        happened: Whether the cut has come.
    """

    def __init__(self, server: tuple[str, int] | str) -> None:
        self._server, self._lock = server, threading.Lock()
        self._open: set[socket.socket] = set()
        self._up = threading.Event()
        self._up.set()
        self._at, self._holds, self._seconds = 0, False, 0.0
        self.passed, self.happened = 0, False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, at: int, *, holds: bool, seconds: float) -> None:
        """Plan a cut.

        Args:
            at: Number of the chunk that does not arrive.
            holds: Whether connections stay and are silent; otherwise they are reset, and new ones too.
            seconds: After how long all is well again.
        """
        with self._lock:
            self.passed, self.happened = 0, False
            self._at, self._holds, self._seconds = at, holds, seconds

    def restore(self) -> None:
        """Let all be well again."""
        with self._lock:
            self._at, self.passed = 0, 0
        self._up.set()

    def close(self) -> None:
        """End the proxy."""
        self._listener.close()
        self._reset()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if not self._holds and not self._up.is_set():
            client.close()
            return
        self._up.wait(60)
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._server, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            return server
        return socket.create_connection(self._server, timeout=None)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._count()
                self._up.wait(60)
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(one)

    def _count(self) -> None:
        with self._lock:
            self.passed += 1
            if not self._at or self.passed < self._at or self.happened:
                return
            self.happened = True
            self._up.clear()
            threading.Timer(self._seconds, self.restore).start()
        if not self._holds:
            self._reset()

    def _reset(self) -> None:
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()
