"""Thin out the MLflow runs of earlier looks: those that found something stay, and one a day of the others."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from everfit.tasks.core.records import Record
from everfit.tasks.registry import tracking
from everfit.tasks.registry.tracking import TURN_TAG
from everfit.tasks.turns.context import Context

if TYPE_CHECKING:
    from mlflow.entities import Run

THINNED = "everfit.thinned"
"""The tag of a run whose files were deleted."""
_AT_ONCE = 1_000
"""Runs that one upkeep deletes, so that a first upkeep after years ends; the next one does the rest."""
_PAGE = 1_000
_QUIET = frozenset({"healthy"})


class PastLook(Record):
    """The MLflow run of a look at a window."""

    run_id: str
    until: AwareDatetime
    verdict: str
    thinned: bool = False


class LookPlan(Record):
    """The runs to delete, and those whose files are deleted."""

    delete: tuple[str, ...] = ()
    thin: tuple[str, ...] = ()


def plan_looks(looks: Iterable[PastLook], at: datetime, keep: timedelta) -> LookPlan:
    """Decide what goes. Pure.

    Args:
        looks: The looks in MLflow, in any order.
        at: The moment of the upkeep.
        keep: How long all looks are kept.
    """
    quiet = sorted((look for look in looks if look.verdict in _QUIET and at - look.until > keep), key=_moment)
    first = {look.until.date(): look for look in reversed(quiet)}
    return LookPlan(
        delete=tuple(look.run_id for look in quiet if first[look.until.date()] is not look)[:_AT_ONCE],
        thin=tuple(look.run_id for look in first.values() if not look.thinned),
    )


def _moment(look: PastLook) -> datetime:
    return look.until


def read_looks(context: Context, before: datetime) -> list[PastLook]:
    """Return the looks that MLflow has a run of and that were made before a moment.

    Args:
        context: The model.
        before: The moment.
    """
    client, name = context.mlflow, tracking.experiments_of(context.spec.name)[1]
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    older = f"attributes.start_time < {int(before.timestamp() * 1000)}"
    runs: list[Run] = []
    page: str | None = None
    while page is None or page:
        found = client.search_runs(
            [experiment.experiment_id], older, max_results=_PAGE, order_by=["start_time ASC"], page_token=page
        )
        runs, page = [*runs, *found], found.token or ""
    verdicts = {entry.until: entry.verdict for entry in context.ledger.decisions.of(context.spec.name, kind="triage")}
    return [look for run in runs if (look := _look(run, verdicts)) is not None]


def thin_looks(context: Context, plan: LookPlan) -> int:
    """Delete what the plan says.

    Returns:
        How many runs were changed.
    """
    for run_id in (*plan.thin, *plan.delete):
        _delete_files(context, run_id)
    for run_id in plan.thin:
        context.mlflow.set_tag(run_id, THINNED, "true")
    for run_id in plan.delete:
        context.mlflow.delete_run(run_id)
    return len(plan.thin) + len(plan.delete)


def _delete_files(context: Context, run_id: str) -> None:
    """Delete the files of a run; MLflow's own deletion of a run only marks it."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run = context.mlflow.get_run(run_id)
    get_artifact_repository(run.info.artifact_uri).delete_artifacts()  # type: ignore[no-untyped-call]


def _look(run: "Run", verdicts: Mapping[datetime | None, str]) -> PastLook | None:
    """Return the look of a run; None if the ledger knows of no decision about its window, which then stays."""
    try:
        until = datetime.strptime(run.data.tags[TURN_TAG].rpartition("-")[2] + "+0000", "%Y%m%dT%H%M%S%z")
    except (KeyError, ValueError):
        return None
    verdict = verdicts.get(until)
    if verdict is None:
        return None
    return PastLook(run_id=run.info.run_id, until=until, verdict=verdict, thinned=run.data.tags.get(THINNED) == "true")
