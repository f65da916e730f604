"""The prediction services are compared with the ledger."""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.tasks.ledger import Release
from everfit.tasks.release.serving_verification import why_not_served
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.service")

SERVED, NOT_SERVED, NO_CHAMPION = "Served", "NotServed", "NoChampion"
"""Names of the flow's final states; `NotServed` is a failure."""


@step("network", log="service")
def newest_release(context: Context) -> Release | None:
    """Return the last release that the ledger has as done, or None before the first."""
    return context.ledger.releases.current(context.spec.name)


@step("network", log="service")
def compare_services(context: Context, release: Release | None) -> str | None:
    """Return which of the registry and the spec's services lacks the champion, in words; None if all have it."""
    if release is None:
        return None
    policy = context.spec.release
    problem = why_not_served(
        context.mlflow, context.spec.name, release.version, policy.services, within=policy.verify_timeout
    )
    if problem is None:
        where = ", ".join(policy.services) or "the registry; the spec names no services"
        logger.info("version %d is served by %s", release.version, where)
    return problem


def final_state(context: Context, release: Release | None, problem: str | None) -> State[dict[str, Any]]:
    """Return the flow's final state; a champion that isn't served is a failure."""
    content = {
        "model": context.spec.name,
        "version": None if release is None else release.version,
        "services": list(context.spec.release.services),
        "problem": problem,
    }
    if release is None:
        return Completed(name=NO_CHAMPION, message=f"{context.spec.name} has no champion yet", data=content)
    if problem is None:
        return Completed(name=SERVED, message=f"version {release.version} is served", data=content)
    return Failed(name=NOT_SERVED, message=f"version {release.version} should be served; {problem}"[:500], data=content)
