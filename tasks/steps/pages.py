"""The pages of a model are written when a flow ends that may have changed what they show."""

import logging
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import get_current_settings

from everfit.tasks.pages.status import SERVICE_CHECK
from everfit.tasks.pages.updating import update_pages
from everfit.tasks.steps.context import find_context
from everfit.tasks.steps.release import AGREED
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.pages")

_CHANGES = frozenset({"training", "monitoring", "rollback", "approval", "trial", "reconcile", "service-check"})
"""The flows that change what a page shows; the others read and write rows."""


def write_pages(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Write the pages of the model of a flow that has ended."""
    name = str(flow.name)
    if name not in _CHANGES or (name == "reconcile" and state.message == AGREED):
        return
    try:
        context = find_context(str(flow_run.parameters["model"]))
        if name == "service-check" and state.is_completed() and not _ended_incident(context, flow_run):
            return
        update_pages(context, prefect=get_current_settings().ui_url or "")
    except Exception:  # the run has ended already; its own failure must stay readable
        logger.exception("the page of the model of %r could not be written", flow_run.name)


def _ended_incident(context: Context, run: FlowRun) -> bool:
    """Return whether a run of the service check has ended an incident."""
    found = [entry for entry in context.ledger.incidents.of(context.spec.name) if entry.subject == SERVICE_CHECK]
    return bool(found) and found[-1].last_key == str(run.id)
