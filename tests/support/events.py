"""The events that a Prefect server has taken."""

import time
from datetime import datetime
from typing import Any

import httpx
from prefect.settings import PREFECT_API_URL


def emitted(model: str, since: datetime, *wanted: str, seconds: float = 90) -> dict[str, Any]:
    """The newest payload of each event about a model since a moment, by its name.

    Waits until the server has all that are wanted: it stores events a moment after they were sent, or a minute where
    its SQLite was locked.
    """
    body = {
        "filter": {
            "resource": {"id": [f"everfit.model.{model}"]},
            "event": {"prefix": ["everfit."]},
            "occurred": {"since": since.isoformat()},
        },
        "limit": 50,
    }
    give_up = time.monotonic() + seconds
    while True:
        result = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json=body).json()["events"]  # newest first
        payloads = {event["event"]: event["payload"] for event in reversed(result)}
        if payloads.keys() >= set(wanted):
            return payloads
        assert time.monotonic() < give_up, f"{wanted} wanted, and only {sorted(payloads)} came"
        time.sleep(0.05)
