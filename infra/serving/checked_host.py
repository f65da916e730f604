"""The header `Host` of a request is checked before anything else."""

from starlette.types import ASGIApp, Receive, Scope, Send

from everfit.infra.serving.access import is_host
from everfit.infra.serving.protocol import RequestError
from everfit.infra.serving.responses import refusal


class CheckedHost:
    """Refuses a request with a malformed `Host` before anything builds an address of it.

    Args:
        app: The application that answers all other requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"host" and not is_host(host := value.decode("latin-1")):
                    error = RequestError(f"the header `Host` is {host[:80]!r}; send the name or address of the service")
                    await refusal(error)(scope, receive, send)
                    return
        await self._app(scope, receive, send)
