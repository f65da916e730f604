"""Asking a person in the Prefect UI, and carrying out the answer, as Prefect tasks."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.settings import get_current_settings
from prefect.states import Completed
from pydantic import Field

from everfit.tasks.core.event_names import APPROVAL_REQUESTED, RELEASE_PROMOTED, TURN_FINISHED
from everfit.tasks.core.events import emit
from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.core.people import RoleError
from everfit.tasks.ledger import Turn
from everfit.tasks.registry.mlflow_links import run_page
from everfit.tasks.release import approval_notice, approvals
from everfit.tasks.release.approval import ApprovalError, ApprovalRequest
from everfit.tasks.steps.artifacts import leave_turn
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.approval")


class ApprovalForm(RunInput):
    """The form that a person fills in to resume the flow run."""

    decision: Literal["approve", "decline"] = Field(description="Whether the challenger takes the champion's place.")
    name: str = Field(description="Your name.", min_length=1)
    reason: str = Field(description="The reason, for the history.", min_length=1)


def announce(context: Context, turn: Turn, artifact: UUID | None = None) -> None:
    """Emit the event of a request for approval and notify people, with links to the evidence."""
    request = approvals.request_in(context, turn.id)
    links = evidence_links(context, request, artifact)
    emit(APPROVAL_REQUESTED, context.spec.name, **request.model_dump(exclude={"model"}), evidence=links)
    approval_notice.ask_people(context, request, links, datetime.now(UTC))
    logger.info("version %d waits until %s", request.version, f"{request.expires_at:%Y-%m-%d %H:%M} UTC")


def evidence_links(context: Context, request: ApprovalRequest, artifact: UUID | None = None) -> dict[str, str]:
    """Return links to the evidence: the command, and pages of MLflow and Prefect if they exist."""
    links = {"command": f"everfit explain {request.turn_id}", "mlflow_run": request.run_id}
    if page := run_page(context.mlflow, context.settings, request.run_id):
        links["mlflow"] = page
    ui = get_current_settings().ui_url
    if artifact is not None and ui:
        links["artifact"] = f"{ui.rstrip('/')}/artifacts/artifact/{artifact}"
    return links


# A suspended run starts again from the beginning, so its results must not come from a cache.
@step("network", log="approval")
def find_request(context: Context, turn_id: str) -> ApprovalRequest | None:
    """Return the request of a turn, or None if it was decided before."""
    approvals.reconcile(context, datetime.now(UTC))
    turn = context.ledger.turns.get(turn_id)
    decided = turn.model == context.spec.name and approvals.recorded(context, turn_id) is not None
    return None if decided and turn.state != turn_record.AWAITING_APPROVAL else approvals.request_in(context, turn_id)


def wait_for_answer(context: Context, request: ApprovalRequest, number: int = 1) -> ApprovalForm:
    """Wait until a person has filled in the form on the run's page in the Prefect UI.

    A run of a deployment is suspended and holds no worker. A run from a script is paused, because nothing would start
    it again.

    Args:
        context: The model.
        request: The request that waits.
        number: Number of the answer; a run asks again while more people must approve.
    """
    key = "approval" if number == 1 else f"approval-{number}"
    form = ApprovalForm.with_initial_data(description=_description(context, request))
    seconds = max(1, int((request.expires_at - datetime.now(UTC)).total_seconds()))
    if runtime.deployment.id is None:
        return pause_flow_run(wait_for_input=form, timeout=seconds, poll_interval=1, key=key)
    return suspend_flow_run(wait_for_input=form, timeout=seconds, key=key)


@step("decision", log="approval")
def decide(context: Context, request: ApprovalRequest, form: ApprovalForm) -> Turn:
    """Release or decline the challenger, as the person decided.

    The turn still waits if more people must approve, or if this person may not.
    """
    try:
        turn = approvals.decide_approval(
            context, request.turn_id, form.decision, by=form.name, reason=form.reason, now=datetime.now(UTC)
        )
    except (RoleError, ApprovalError) as error:
        turn = context.ledger.turns.get(request.turn_id)
        if turn.state != turn_record.AWAITING_APPROVAL:
            raise
        logger.warning("the answer does not count: %s", error)
    if turn.state == turn_record.AWAITING_APPROVAL:
        return turn
    leave_turn(context, turn)
    announce_end(context, turn)
    return turn


def announce_end(context: Context, turn: Turn) -> None:
    """Emit the events of a turn that has waited and has ended."""
    release = context.ledger.releases.of_turn(turn.id)
    if turn.state == turn_record.PROMOTED and release is not None:
        emit(RELEASE_PROMOTED, turn.model, release=release)
    emit(TURN_FINISHED, turn.model, turn_id=turn.id, state=turn.state, reasons=list(turn.reasons))


def final_state(context: Context, turn_id: str) -> State[dict[str, Any]]:
    """Return the flow's final state; its name is the state of the turn."""
    turn = context.ledger.turns.get(turn_id)
    return Completed(name=turn.state, message="; ".join(turn.reasons)[:500], data=turn_record.turn_json(turn))


def _description(context: Context, request: ApprovalRequest) -> str:
    champion = "no champion yet" if request.champion_version is None else f"champion {request.champion_version}"
    lines = [
        f"**{request.model}**: version {request.version} over {champion}?",
        "",
        markdown_text(request.headline),
        "",
    ]
    links = evidence_links(context, request)
    run = f"[run {request.run_id}]({links['mlflow']})" if "mlflow" in links else f"run `{request.run_id}`"
    shown = {"terminal": f"`{links['command']}`", "MLflow": run}
    lines += [f"- {where}: {link}" for where, link in shown.items()]
    if context.spec.gate.approvals > 1:
        names = ", ".join(markdown_text(vote.person.signed) for vote in approvals.votes(context, request.turn_id))
        lines.append(f"- {context.spec.gate.approvals} people must approve; so far: {names or 'nobody'}")
    return "\n".join([*lines, f"- it expires on {request.expires_at:%Y-%m-%d %H:%M} UTC"])
