"""Try a request again soon, where Prefect's server answers 503 because another of its parts is writing to SQLite.

Such a lock is over within a tenth of a second, and Prefect's client would wait for two seconds and longer. It obeys the
header `Retry-After`, which the server doesn't send.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

_BUSY = 503
_SOON_S = (0.1, 0.3)
"""Seconds before the next tries; if these fail too, the client's own longer waits follow."""


class SoonAgain:
    """A response hook of a client: it sets the time of the next try, where the first tries met a lock."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def __call__(self, response: "httpx.Response") -> None:
        """Look at a response before Prefect's client does."""
        if response.status_code != _BUSY:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row <= len(_SOON_S):
            response.headers.setdefault("Retry-After", str(_SOON_S[self._in_a_row - 1]))


def client_settings() -> dict[str, Any]:
    """Return the `httpx_settings` of a client that writes much."""
    return {"event_hooks": {"response": [SoonAgain()]}}
