"""Names of the events that everfit emits, for automations to act on."""

from typing import Any, Final

TURN_FINISHED: Final = "everfit.turn.finished"
RELEASE_PROMOTED: Final = "everfit.release.promoted"
RELEASE_ROLLED_BACK: Final = "everfit.release.rolled-back"
APPROVAL_REQUESTED: Final = "everfit.approval.requested"
DATA_REJECTED: Final = "everfit.data.rejected"
DATA_ARRIVED: Final = "everfit.data.arrived"
DRIFT_DETECTED: Final = "everfit.drift.detected"
QUALITY_DEGRADED: Final = "everfit.quality.degraded"
ESCALATED: Final = "everfit.escalated"
WINDOW_MONITORED: Final = "everfit.window.monitored"
NOTHING_TO_WATCH: Final = "everfit.window.nothing-to-watch"
CODE_MERGED: Final = "everfit.code.merged"
VERSION_NOT_SERVED: Final = "everfit.version.not-served"

NAMES: Final = frozenset(
    {
        TURN_FINISHED,
        RELEASE_PROMOTED,
        RELEASE_ROLLED_BACK,
        APPROVAL_REQUESTED,
        DATA_REJECTED,
        DATA_ARRIVED,
        DRIFT_DETECTED,
        QUALITY_DEGRADED,
        ESCALATED,
        WINDOW_MONITORED,
        NOTHING_TO_WATCH,
        CODE_MERGED,
        VERSION_NOT_SERVED,
    }
)
"""All of them."""


def resource_id(model: str) -> str:
    """What an automation names to hear of one model only."""
    return f"everfit.model.{model}"


def emit(name: str, model: str, **payload: Any) -> None:
    """Tell Prefect that something happened to a model.

    Args:
        name: One of the constants of this module.
        model: Name of the model, the event's resource.
        **payload: What an automation or a reader needs to know; records, dates and plain JSON.

    Raises:
        ValueError: the name is not one that everfit documents.
    """
    if name not in NAMES:
        raise ValueError(f"{name!r} is not an event of everfit; there are {', '.join(sorted(NAMES))}")

    from prefect.events import emit_event
    from pydantic_core import to_jsonable_python

    emit_event(
        event=name,
        resource={"prefect.resource.id": resource_id(model), "prefect.resource.name": model},
        payload=to_jsonable_python(payload, inf_nan_mode="null"),
    )
