"""The schedules of deployments: those of prefect.yaml, as a model's spec changes them."""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import DeploymentError
from everfit.blocks.schedules import OFF
from everfit.deployments.server import files

_MODEL_TAG = "model:"


def with_schedules(deployments: Iterable[files.Deployment], specs: Iterable[SpecContent]) -> list[files.Deployment]:
    """Return the deployments with the schedules that the specs ask for.

    Args:
        deployments: As prefect.yaml has them.
        specs: The specs of the models.

    Raises:
        DeploymentError: A spec schedules a flow by an expression that is not valid.
    """
    by_name = {spec.name: spec for spec in specs}
    return [_scheduled(deployment, by_name) for deployment in deployments]


def _scheduled(deployment: files.Deployment, specs: Mapping[str, SpecContent]) -> files.Deployment:
    model = next((tag.removeprefix(_MODEL_TAG) for tag in deployment.tags if tag.startswith(_MODEL_TAG)), "")
    flow = deployment.entrypoint.rpartition(".")[2]
    wanted = specs[model].schedules.of(flow) if model in specs else None
    if wanted is None:
        return deployment
    if wanted == OFF:
        off = tuple(schedule.model_copy(update={"active": False}) for schedule in deployment.schedules)
        return deployment.model_copy(update={"schedules": off})
    slug = deployment.schedules[0].slug if deployment.schedules else "own"
    try:
        own = files.Schedule(slug=slug, cron=wanted, timezone=specs[model].schedules.timezone)
    except (ValidationError, ValueError) as error:
        raise DeploymentError(f"{model}: schedules.{flow}: {wanted!r} is no cron expression: {error}") from error
    return deployment.model_copy(update={"schedules": (own, *deployment.schedules[1:])})
