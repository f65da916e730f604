"""Watching a source: what has come is told once, as Prefect tasks."""

import logging
from datetime import datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.event_names import DATA_ARRIVED
from everfit.tasks.core.events import emit
from everfit.tasks.data.ingest import read_marks
from everfit.tasks.sources.arrivals import Announced, Arrival, arrival, look
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.arrivals")

ARRIVED, NOTHING_NEW = "DataArrived", "NothingNew"
"""Names of the flow's final states."""


@task(cache_policy=NO_CACHE)
def find(context: Context, until: datetime) -> Arrival | None:
    """Look at the source, and keep what is to be told before it is told: a look that is killed tells it again."""
    told, content = _read(context), look(context.spec, until)
    if told.pending is not None:
        return told.pending
    found = arrival(context.spec.name, content, told, read_marks(context.spec, context.workspace), until)
    if found is not None:
        _write(context, Announced(content=told.content | content, pending=found))
    return found


@task(cache_policy=NO_CACHE)
def tell(context: Context, found: Arrival | None) -> None:
    """Emit the event, once an arrival has an id of its own: who gets it twice can tell."""
    if found is None:
        return
    emit(DATA_ARRIVED, context.spec.name, **found.model_dump())
    logger.info("arrived   %s", found.reason)
    _write(context, Announced(content=_read(context).content))


def final_state(context: Context, found: Arrival | None) -> State[dict[str, Any]]:
    """The flow's final state."""
    if found is None:
        return Completed(name=NOTHING_NEW, message="the source is as it was", data={"model": context.spec.name})
    data = {"model": context.spec.name, **found.model_dump(mode="json")}
    return Completed(name=ARRIVED, message=found.reason[:500], data=data)


def _path(context: Context) -> str:
    return context.workspace.file(context.spec.name, "source-watch.json")


def _read(context: Context) -> Announced:
    path = _path(context)
    return (
        Announced.model_validate_json(context.workspace.read(path)) if context.workspace.exists(path) else Announced()
    )


def _write(context: Context, told: Announced) -> None:
    context.workspace.write(_path(context), told.canonical_json().encode())
