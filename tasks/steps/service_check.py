"""What the prediction services serve, compared with the ledger, as Prefect tasks."""

import logging
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.tasks.ledger import Release
from everfit.tasks.release.serving_verification import why_not_served
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.service")

SERVED, NOT_SERVED, NO_CHAMPION = "Served", "NotServed", "NoChampion"
"""Names of the flow's final states; `NotServed` is a failure."""


@task(cache_policy=NO_CACHE)
def newest_release(context: Context) -> Release | None:
    """The release that the ledger knows as the last one that is done."""
    return context.ledger.releases.current(context.spec.name)


@task(cache_policy=NO_CACHE)
def ask_services(context: Context, release: Release | None) -> str | None:
    """Ask the registry, and each service that the spec names, what they have; none if all have the champion."""
    if release is None:
        return None
    policy = context.spec.release
    problem = why_not_served(
        context.mlflow, context.spec.name, release.version, policy.services, within=policy.verify_timeout
    )
    if problem is None:
        where = ", ".join(policy.services) or "the registry; the spec names no services"
        logger.info("service   version %d is served by %s", release.version, where)
    return problem


def final_state(context: Context, release: Release | None, problem: str | None) -> State[dict[str, Any]]:
    """The flow's final state; a champion that isn't served is a failure."""
    found = {
        "model": context.spec.name,
        "version": None if release is None else release.version,
        "services": list(context.spec.release.services),
        "problem": problem,
    }
    if release is None:
        return Completed(name=NO_CHAMPION, message=f"{context.spec.name} has no champion yet", data=found)
    if problem is None:
        return Completed(name=SERVED, message=f"version {release.version} is served", data=found)
    return Failed(name=NOT_SERVED, message=f"version {release.version} should be served; {problem}"[:500], data=found)
