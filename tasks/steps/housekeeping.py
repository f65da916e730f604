"""The work of one run for all models: reconcile, check the services, clean up."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import Record
from everfit.tasks.core.spec_loading import spec_files
from everfit.tasks.steps import release, service_check, upkeep
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.run_incidents import follow_run
from everfit.tasks.steps.step import step_logger
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.housekeeping")

Housework = Literal["reconcile", "service_check", "upkeep"]


class Housekept(Record):
    """The result of the work for one model.

    Attributes:
        result: A sentence about what was done.
        error: Why it failed; empty if it did not.
        notified: Whether the failure is an incident, of which people are notified.
    """

    result: str = ""
    error: str = ""
    notified: bool = False


def models_of(models: Sequence[str] | None) -> list[str]:
    """Return the models to work for: the given ones, or all of `deployments/models`."""
    return [path.stem for path in spec_files()] if models is None else list(models)


def do_for(model: str, work: Housework, until: datetime) -> Housekept:
    """Do the work for one model; its failure doesn't keep the others from theirs.

    Args:
        model: The name of the model.
        work: The work.
        until: The moment from which ages are counted.
    """
    try:
        context = open_context(model)
    except EverfitError as error:
        logger.error("%s: %s", model, error)
        return Housekept(error=str(error))
    if context.spec.schedules.of(work) is not None:
        return Housekept(result="it has a schedule of its own")
    try:
        result, problem = _WORK[work](context, until), ""
    except Exception as error:
        logger.exception("%s: %s failed", model, work)
        result, problem = "", f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
    flow = work.replace("_", "-")
    follow_run(context, flow, f"the flow {flow} failed", problem, key=str(runtime.flow_run.id), at=datetime.now(UTC))
    return Housekept(result=result, error=problem, notified=bool(problem))


def final_state(results: dict[str, Housekept]) -> State[dict[str, Any]]:
    """Return the flow's final state, with the result for each model."""
    data = {name: result.model_dump(mode="json") for name, result in results.items()}
    failed = {name: result for name, result in results.items() if result.error}
    message = "; ".join(f"{name}: {result.error}" for name, result in failed.items())[:500]
    if any(not result.notified for result in failed.values()):
        return ended(Failed(name="NotDone", message=message, data=data))
    done = [f"{name}: {result.result}" for name, result in results.items() if result.result]
    return ended(
        Completed(
            name="SomeFailed" if failed else "Done", message=message or "; ".join(done)[:500] or "nothing", data=data
        )
    )


def _reconcile(context: Context, _until: datetime) -> str:
    actions = release.reconcile(context)
    release.look_at_registry(context, actions)
    return "; ".join(actions)


def _check_services(context: Context, _until: datetime) -> str:
    entry = service_check.newest_release(context)
    if problem := service_check.compare_services(context, entry):
        raise EverfitError(problem)
    return ""


def _clean_up(context: Context, until: datetime) -> str:
    return "; ".join(upkeep.clean_up(context, until).summary())


_WORK = {"reconcile": _reconcile, "service_check": _check_services, "upkeep": _clean_up}
