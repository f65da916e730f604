"""Rehearsal: live through a model's history by the spec as it is and by other policies, and compare them."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import rehearsal as steps
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name


@flow(name="rehearsal", flow_run_name=run_name("rehearse"))
def rehearsal(  # noqa: PLR0917 - each is a field of the form
    model: str,
    since: datetime | None = None,
    until: datetime | None = None,
    every: str | None = None,
    policies: dict[str, dict[str, Any]] | None = None,
    cost: float | None = None,
    jobs: int | None = None,
    folder: str | None = None,
    vary: bool = True,
) -> State[dict[str, Any]]:
    """Tell what the loop would have brought in the past, with the spec as it is and with other settings.

    Nothing of the model is changed: each policy has a workspace, a ledger, a registry and a Prefect server of its own.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        since: The moment of the first training. By default a quarter of the source's history is before it.
        until: The end of the last window. By default it is the end of the newest day of the source.
        every: The length of a window, such as `7d`. By default it is that of monitoring.
        policies: Patches of the spec to compare with, by name, such as `{"all": {"training": {"window": "all"}}}`.
        cost: The cost of a turn, in the unit of the spec's value, or else in the metric of one window.
        jobs: How many processes run at a time. By default as many as there are cores, at most four.
        folder: Where the rehearsal is kept, so that it can go on. By default `rehearsals/MODEL`.
        vary: Whether the usual variations of the spec are compared as well. Each takes as long as the spec itself.

    Returns:
        A state named `Rehearsed`. Its data is the outcome as `everfit rehearse --json` prints it.
    """
    context = open_context(model)
    plan = steps.plan_rehearsal(context, since, until, every, policies or {}, moment(None), vary=vary)
    outcome = steps.live_through(context, plan, folder, jobs, cost)
    page = steps.publish_rehearsal(context, outcome, folder)
    return steps.rehearsed_state(outcome, page)
