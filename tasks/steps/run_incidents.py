"""The end of a flow: a failed run of a deployment is an incident, and the pages of its model are written."""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import FlowStateHook
from prefect.settings import get_current_settings

from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.recording import follow_up
from everfit.tasks.ledger import Incident
from everfit.tasks.steps.context import find_context
from everfit.tasks.steps.pages import write_pages
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.incidents")

_ADVICE = "Repair what the reason names; the next run, or Retry on the run's page, goes on from there."


def _open_incident(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Open or update the incident of a flow that failed. The terminal shows the failures of other runs."""
    if flow_run.deployment_id is None:
        return
    what = f"the flow {flow.name} ended as {state.name}"
    _record(flow, flow_run, what, state.message or "it gave no reason")


def _close_incident(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect names them
    """Close the incident of a flow that succeeds again."""
    if flow_run.deployment_id is not None:
        _record(flow, flow_run)


def follow_run(
    context: Context, flow: str, what: str, error: str, *, key: str, at: datetime, page: str = ""
) -> Incident | None:
    """Open or update the incident of a flow that failed, or close that of one that succeeded.

    Args:
        context: The model.
        flow: The name of the flow.
        what: The failure in a few words.
        error: The reason; empty if the flow succeeded.
        key: Identifies the run.
        at: The moment.
        page: Address of the run's page.
    """
    alert = Alert(
        subject=f"run {flow}",
        severity="warning",
        what=what,
        signature=what,
        why=(error,),
        advice=_ADVICE,
        command=f"everfit history {context.spec.name}",
        page=page,
    )
    return follow_up(context, f"run {flow}", alert if error else None, key=key, at=at)


def _record(flow: Flow[..., Any], run: FlowRun, what: str = "", error: str = "") -> None:
    try:
        context = find_context(str(run.parameters["model"]))
        now, key = datetime.now(UTC), str(run.id)
        follow_run(context, str(flow.name), what, error, key=key, at=now, page=_page(run))
    except Exception:  # the run has ended already; its own failure must stay readable
        logger.exception(
            "the incident of the run %r of %s could not be recorded, so nobody is notified", run.name, flow.name
        )


def _page(run: FlowRun) -> str:
    ui = get_current_settings().ui_url
    return f"{ui.rstrip('/')}/runs/flow-run/{run.id}" if ui else ""


on_failure: list[FlowStateHook[..., Any]] = [_open_incident, write_pages]
"""The hooks of a flow of everfit that fails."""
on_completion: list[FlowStateHook[..., Any]] = [_close_incident, write_pages]
"""The hooks of one that succeeds."""
