"""Emit events, on which Prefect automations act."""

from typing import Any

from everfit.tasks.core.event_names import EVENTS
from everfit.tasks.core.outside_text import message_text

_PROSE = frozenset({"reason", "reasons", "headline"})
"""Details that notifications quote."""


def resource_id(model: str) -> str:
    """Return the resource that an automation names to receive the events of one model only."""
    return f"everfit.model.{model}"


def emit_in_run(name: str, model: str, **payload: Any) -> None:
    """Emit an event if a flow or a task is running, so that there is a server to receive it.

    A command that works while the server is down reports by its error and by the ledger.

    Args:
        name: One of `EVENTS`.
        model: The model's name.
        **payload: As for `emit`.
    """
    if is_in_run():
        emit(name, model, **payload)


def is_in_run() -> bool:
    """Return whether a flow or a task of Prefect is running in this thread."""
    import sys

    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def emit(name: str, model: str, **payload: Any) -> None:
    """Emit an event about a model.

    Args:
        name: One of `EVENTS`.
        model: The model's name; it becomes the event's resource.
        **payload: Details for automations and readers: records, dates and plain JSON.

    Raises:
        ValueError: `EVENTS` does not have the name.
    """
    if name not in EVENTS:
        raise ValueError(f"{name!r} is not an event of everfit; allowed: {', '.join(sorted(EVENTS))}")

    from prefect.events import emit_event
    from pydantic_core import to_jsonable_python

    payload |= {key: _quotable(payload[key]) for key in _PROSE & payload.keys()}
    emit_event(
        event=name,
        resource={"prefect.resource.id": resource_id(model), "prefect.resource.name": model},
        payload=to_jsonable_python(payload, inf_nan_mode="null"),
    )


def _quotable(value: Any) -> Any:
    return message_text(value) if isinstance(value, str) else [message_text(text) for text in value]
