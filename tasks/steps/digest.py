"""The weekly digest as Prefect tasks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.blocks.settings import Settings
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.incidents import delivery
from everfit.tasks.incidents.digest import ModelWeek, digest_message, read_weeks
from everfit.tasks.incidents.message import Message
from everfit.tasks.ledger import Ledger
from everfit.tasks.steps.artifacts import leave_page
from everfit.tasks.steps.step import step, step_logger

logger = step_logger("everfit.incidents")

WEEK = timedelta(days=7)
KEY = "everfit-digest"
"""The key of the artifact."""


@step("network", log="digest")
def read_models(models: Sequence[str] | None, until: datetime) -> list[ModelWeek]:
    """Read from the ledger what became of each model in the week before a moment."""
    return read_weeks(Ledger.open(Settings()), models, until - WEEK, until)


@step("decision", log="digest")
def send_digest(weeks: list[ModelWeek], until: datetime, receivers: Sequence[str] | None) -> dict[str, str]:
    """Show the digest as an artifact and send it.

    Returns:
        By receiver why it did not arrive; empty if it did.
    """
    message = digest_message(weeks, until - WEEK, until)
    leave_page(KEY, _page(message), message.subject)
    try:
        named, first = None if receivers is None else tuple(receivers), weeks[0].model if weeks else ""
        wanted = delivery.receivers_of(named, first)  # the models of one project
    except delivery.ReceiversUnknownError as error:
        return {delivery.DEFAULT_BLOCK: str(error)}
    if not wanted:
        logger.info("nobody gets the digest, because no notification block is named")
    return {receiver: delivery.deliver(message, receiver) for receiver in wanted}


def final_state(weeks: list[ModelWeek], sent: dict[str, str], until: datetime) -> State[dict[str, Any]]:
    """Return the flow's final state: `Sent`, or `NotSent`, a failure."""
    message = digest_message(weeks, until - WEEK, until)
    failed = [f"{receiver}: {error}" for receiver, error in sent.items() if error]
    data = {"models": [week.model_dump(mode="json") for week in weeks], "sent": sent}
    if failed:
        return ended(Failed(name="NotSent", message="; ".join(failed)[:500], data=data))
    return ended(Completed(name="Sent" if sent else "NobodyNotified", message=message.subject, data=data))


def _page(message: Message) -> str:
    return "\n".join(
        [f"# {markdown_text(message.subject)}", "", *(f"    {line}" for line in message.body.splitlines())]
    )
