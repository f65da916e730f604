"""New data in a source is announced once."""

from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.event_names import DATA_ARRIVED
from everfit.tasks.core.events import emit
from everfit.tasks.data.ingest import read_file_states
from everfit.tasks.sources.arrivals import Announced, Arrival, new_arrival, source_content
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.arrivals")

ARRIVED, NOTHING_NEW = "DataArrived", "NothingNew"
"""Names of the flow's final states."""


@step("network", log="arrived")
def find_arrival(context: Context, until: datetime) -> Arrival | None:
    """Return the data that is neither announced nor ingested, or None.

    An arrival is kept before it is announced, so a run that was killed in between announces it again.

    Args:
        context: The model's.
        until: Rows of later event time are left out.
    """
    announced, content = _read(context), source_content(context.spec, until)
    if announced.pending is not None:
        return announced.pending
    new = new_arrival(context.spec.name, content, announced, read_file_states(context.spec, context.workspace), until)
    if new is not None:
        _write(context, Announced(content=announced.content | content, pending=new))
    return new


@step("decision", log="arrived")
def announce_arrival(context: Context, new: Arrival | None) -> None:
    """Emit the event of an arrival; its id lets a receiver recognise one that comes twice."""
    if new is None:
        return
    emit(DATA_ARRIVED, context.spec.name, **new.model_dump())
    logger.info("%s", new.reason)
    _write(context, Announced(content=_read(context).content))


def final_state(context: Context, new: Arrival | None) -> State[dict[str, Any]]:
    """Return the flow's final state: `DataArrived`, or `NothingNew`."""
    if new is None:
        return Completed(name=NOTHING_NEW, message="the source is as it was", data={"model": context.spec.name})
    data = {"model": context.spec.name, **new.model_dump(mode="json")}
    return Completed(name=ARRIVED, message=new.reason[:500], data=data)


def _path(context: Context) -> str:
    return context.workspace.file(context.spec.name, "source-watch.json")


def _read(context: Context) -> Announced:
    path = _path(context)
    return (
        Announced.model_validate_json(context.workspace.read(path)) if context.workspace.exists(path) else Announced()
    )


def _write(context: Context, announced: Announced) -> None:
    context.workspace.write(_path(context), announced.canonical_json().encode())
