"""How a test speaks to a server that may be starting, or busy."""

import time

import httpx


class Patient(httpx.HTTPTransport):
    """Asks again, as Prefect's clients do, while the server is started or has found its SQLite locked."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        give_up = time.monotonic() + 60
        while True:
            try:
                response = super().handle_request(request)
            except httpx.TransportError:
                if time.monotonic() > give_up:
                    raise
            else:
                if response.status_code != 503 or time.monotonic() > give_up:
                    return response
                response.close()
            time.sleep(0.3)
