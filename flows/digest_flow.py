"""The weekly digest: what became of every model."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.blocks.content import ModelName
from everfit.tasks.steps import digest as digests
from everfit.tasks.steps.context import moment


@flow(name="digest", flow_run_name="digest")
def digest(
    models: list[ModelName] | None = None, until: datetime | None = None, receivers: list[str] | None = None
) -> State[dict[str, Any]]:
    """Send people what became of every model in a week: champion, quality, turns, looks, open incidents.

    Args:
        models: The names of the models. By default all in the ledger that are not retired.
        until: The week's end. By default it is the time for which the run was scheduled.
        receivers: Notification blocks, each as `type/name`. By default that of `everfit bootstrap --notify`.

    Returns:
        A state named `Sent`, `NobodyNotified` if no block is named, or `NotSent`, a failure.
    """
    until = moment(until)
    weeks = digests.read_models(models, until)
    sent = digests.send_digest(weeks, until, receivers)
    return digests.final_state(weeks, sent, until)
