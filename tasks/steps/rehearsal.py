"""The rehearsal as Prefect tasks."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.blocks.errors import LedgerError, SpecError
from everfit.blocks.policy import parse_duration
from everfit.tasks.core.cores import usable_cores
from everfit.tasks.core.final_states import ended
from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.kept_worth import kept_worth
from everfit.tasks.monitoring.worth import worth_heads, worth_rows
from everfit.tasks.registry.mlflow_links import model_link
from everfit.tasks.registry.tracking import turn_run
from everfit.tasks.rehearsal.outcome import Rehearsal, assemble
from everfit.tasks.rehearsal.page import rehearsal_page, rehearsal_text
from everfit.tasks.rehearsal.patches import difference, patched
from everfit.tasks.rehearsal.plan import SPEC, RehearsalPlan, Rehearsed, read_history, remarks, window_ends
from everfit.tasks.rehearsal.running import REPORT, Running, spec_identity
from everfit.tasks.rehearsal.variations import variations
from everfit.tasks.steps.artifacts import leave_page
from everfit.tasks.steps.dask_workers import files_of
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.task_runners import executor, side_by_side
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.rehearsal")

PAGE, RESULT = "rehearsal.html", "rehearsal.json"

Patches = Mapping[str, Mapping[str, Any]]


@step("network", log="rehearse")
def plan_rehearsal(  # noqa: PLR0917 - each is a parameter of the flow
    context: Context,
    since: datetime | None,
    until: datetime | None,
    every: str | None,
    policies: Patches,
    now: datetime,
    *,
    vary: bool = True,
) -> RehearsalPlan:
    """Look at the source's times, and return which windows are lived through by which policies.

    Args:
        context: The model.
        since: Moment of the first training; None for the default.
        until: End of the last window; None for the default.
        every: Length of a window, such as `7d`; None for that of monitoring.
        policies: Patches of the spec, or other whole specs, by name.
        now: Nothing later counts.
        vary: Whether the usual variations of the spec are compared as well.

    Returns:
        The plan.

    Raises:
        SpecError: There are too few windows, a patch makes no valid spec, or another spec predicts something else.
        SourceError: The source can't be read.
    """
    spec = context.spec
    patches = dict(variations(spec)) if vary else {}
    patches |= {name: difference(spec, patch, f"the policy {name!r}") for name, patch in policies.items()}
    for name, patch in patches.items():
        patched(spec, patch, f"the policy {name!r}")
    try:
        length = spec.monitoring.window if every is None else parse_duration(every)
    except ValueError as error:
        raise SpecError(f"--every {every!r} is no duration; give one such as 7d") from error
    history = read_history(spec, now)
    ends = window_ends(spec, history, since, until, length, now)
    named = (Rehearsed(name=SPEC), *(Rehearsed(name=name, patch=patch) for name, patch in patches.items()))
    plan = RehearsalPlan(
        model=spec.name, ends=ends, until=ends[-1], policies=named, notes=tuple(remarks(spec, history, ends))
    )
    identity = plan.model_copy(update={"policies": (), "identity": f"{spec_identity(spec)} {history.digest()}"})
    logger.info(
        "%d windows of %s from %s to %s; lived through by %s",
        len(plan.windows),
        f"{length.days} days" if length.days else str(length),
        f"{ends[0]:%Y-%m-%d}",
        f"{ends[-1]:%Y-%m-%d}",
        ", ".join(policy.name for policy in named),
    )
    return plan.model_copy(update={"identity": identity.digest()})


@step("compute", log="rehearse", quiet=2 * REPORT)
def live_through(
    context: Context, plan: RehearsalPlan, folder: str | None, jobs: int | None, price: float | None
) -> Rehearsal:
    """Live through history by each policy, fit the matrix, and compare.

    Args:
        context: The model; nothing of it is changed.
        plan: The plan of the rehearsal.
        folder: Where the rehearsal is kept; None for `rehearsals/MODEL`.
        jobs: How many processes run at a time; None for one a core, at most four. A Dask scheduler has workers of its
            own, as many as there are.
        price: Price of a turn; None for that of the spec.

    Returns:
        The outcome.

    Raises:
        EverfitError: A life failed; the next run goes on where it was.
    """
    root = folder_of(context, folder) / plan.identity[:12]
    root.mkdir(parents=True, exist_ok=True)
    reached = [str(root.absolute())]
    with executor(jobs or min(4, usable_cores()), reached, files_of(context.spec)) as workers:
        running = Running(context.spec, plan, root, context.workspace, workers, logger.info, far=side_by_side())
        lives, matrix = running.run()
    outcome = assemble(context.spec, plan, lives, matrix, price)
    return outcome.model_copy(update={"since_then": _since_then(context)})


def _since_then(context: Context) -> tuple[tuple[str, ...], ...]:
    """Return what the real loop has been worth, as a table; empty if nothing was measured yet."""
    try:
        months = kept_worth(Ledger.open_existing(context.settings), context.spec.name)
    except LedgerError:  # there is no ledger yet, and a rehearsal makes none
        return ()
    return (tuple(worth_heads(months)), *map(tuple, worth_rows(months))) if months else ()


@step("network", log="rehearse")
def publish_rehearsal(context: Context, outcome: Rehearsal, folder: str | None) -> Path:
    """Write the page and the result, and keep them as artifacts of MLflow and Prefect.

    Args:
        context: The model.
        outcome: The outcome of the rehearsal.
        folder: Where the rehearsal is kept; None for `rehearsals/MODEL`.

    Returns:
        The page.
    """
    place = folder_of(context, folder)
    place.mkdir(parents=True, exist_ok=True)
    page = place / PAGE
    page.write_text(rehearsal_page(outcome), encoding="utf-8")
    (place / RESULT).write_text(outcome.model_dump_json(indent=1), encoding="utf-8")
    _track(context, outcome, place)
    text = rehearsal_text(outcome) + model_link(context.settings, outcome.model)
    leave_page(f"{outcome.model}-rehearsal", text, outcome.recommendation.reasons[0])
    return page


def _track(context: Context, outcome: Rehearsal, place: Path) -> None:
    """Log the outcome; the run is that of this outcome, so that a retry makes no second one."""
    from mlflow.entities import Metric, Param

    client, name = context.mlflow, f"{outcome.trained_at:%Y-%m-%d} every {outcome.every}, {outcome.digest()[:8]}"
    run = turn_run(client, context.settings, f"{outcome.model}-rehearsal", name)
    metrics = [
        Metric(f"{_plain(standing.policy)}.{outcome.scale.metric}", standing.quality.mean, 0, 0)
        for standing in outcome.standings
        if standing.quality is not None
    ]
    client.log_batch(run, metrics=metrics, params=[Param("recommendation", outcome.recommendation.verdict)])
    for file in (PAGE, RESULT):
        client.log_artifact(run, str(place / file))


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def folder_of(context: Context, folder: str | None) -> Path:
    """Return the folder of a model's rehearsals."""
    return Path(folder) if folder else Path("rehearsals") / context.spec.name


def rehearsed_state(outcome: Rehearsal, page: Path) -> State[dict[str, Any]]:
    """Return the flow's final state, `Rehearsed`.

    Args:
        outcome: The outcome of the rehearsal.
        page: Its page.
    """
    data = {**outcome.model_dump(mode="json"), "page": str(page)}
    return ended(Completed(name="Rehearsed", message=" ".join(outcome.recommendation.reasons)[:500], data=data))
