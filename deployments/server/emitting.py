"""Events that are sent from outside of a flow."""

from uuid import UUID, uuid5

from everfit.blocks.errors import DeploymentError
from everfit.tasks.core import event_names, events

_NAMESPACE = UUID("5f0c3c7e-8f8e-4b0f-9a53-6d2f4c0f1e77")


def send(event: str, model: str, payload: dict[str, str]) -> str:
    """Send an event to the configured server, and wait until the server has it.

    Args:
        event: `data-arrived`, `data.arrived` or `everfit.data.arrived`.
        model: The name of the model.
        payload: The values that deployments read: `until`, `reason`, `id`.

    Returns:
        The event's full name.

    Raises:
        DeploymentError: There is no such event, or the server did not accept it.
    """
    name = full_name(event)
    import httpx
    from prefect import get_client
    from prefect.events import Event

    # Two events with one id are the same event.
    own = {"id": uuid5(_NAMESPACE, f"{name} {model} {payload['id']}")} if "id" in payload else {}
    resource = {"prefect.resource.id": events.resource_id(model), "prefect.resource.name": model}
    message = Event.model_validate({"event": name, "resource": resource, "payload": payload, **own})
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[message.model_dump(mode="json")])
    except httpx.HTTPError as error:
        raise DeploymentError(
            f"the Prefect server did not accept the event: {error}; check that it is running"
        ) from error
    return name


def full_name(event: str) -> str:
    """Return the full name of an event: `everfit.data.arrived` of `data-arrived` or `data.arrived`.

    Raises:
        DeploymentError: There is no such event.
    """
    wanted = event.removeprefix("everfit.").replace(".", "-")
    for name in event_names.EVENTS:
        if name.removeprefix("everfit.").replace(".", "-") == wanted:
            return name
    known = ", ".join(sorted(name.removeprefix("everfit.").replace(".", "-") for name in event_names.EVENTS))
    raise DeploymentError(f"there is no event {event!r}; known are {known}")
