"""Memory that a service has freed, and that its allocators would keep."""

import ctypes
import os
import sys
import threading
import time

_ARENA_MAX = -8
"""`M_ARENA_MAX` of glibc's `mallopt`."""
_ARENAS = 2
_DELTA = "narenas:1,dirty_decay_ms:200,muzzy_decay_ms:0"
"""Options of jemalloc, which is compiled into Delta's library."""
_PAUSE_S = 10.0


def bound_arenas() -> None:
    """Let all threads allocate from two arenas, before they start.

    glibc gives each thread an arena of its own, up to eight for each core. A service has tens of threads, most of them
    Delta's, and each arena would keep the most that its threads have ever needed at once. Another C library, or a
    `MALLOC_ARENA_MAX` of the environment that is smaller, stays as it is.
    """
    if (change := _function("mallopt")) is not None:
        change(_ARENA_MAX, _ARENAS)


def bound_delta() -> None:
    """Let Delta's own allocator have one arena, and hand back at once what it has freed, before it is imported.

    jemalloc has four arenas for each core, and keeps what was freed in them for ten seconds. Delta needs much for a
    moment in each commit. A `_RJEM_MALLOC_CONF` of the environment stays as it is.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", _DELTA)


class FreedMemory:
    """Hands freed memory back to the system after work that needed much of it, at most every ten seconds."""

    def __init__(self, pause_s: float = _PAUSE_S) -> None:
        self._pause_s = pause_s
        self._last = float("-inf")
        self._lock = threading.Lock()

    def hand_back(self) -> bool:
        """Hand it back; return whether the pause since the last time was long enough."""
        with self._lock:
            if time.monotonic() - self._last < self._pause_s:
                return False
            self._last = time.monotonic()
        if (arrow := sys.modules.get("pyarrow")) is not None:
            arrow.default_memory_pool().release_unused()
        if (trim := _function("malloc_trim")) is not None:
            trim(0)
        return True


def _function(name: str) -> "ctypes._NamedFuncPointer | None":
    """Return a function of the C library, if it has one of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
