"""Deployments on a server: created if they are missing, changed if they differ."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from everfit.blocks.errors import DeploymentError
from everfit.deployments.server import files, lint
from everfit.deployments.server.changes import Changes, differing
from everfit.deployments.server.project import TAG

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from everfit.deployments.server.listing import PresentDeployment

_FROM_2020 = "DTSTART:20200101T000000\n"
"""Prefect's server puts this before a rule that has no beginning."""


class Flows:
    """The flows on a server, each registered once.

    Args:
        client: The client of the server.
    """

    def __init__(self, client: "SyncPrefectClient") -> None:
        self.client = client
        self._ids: dict[str, UUID] = {}

    def id_of(self, name: str) -> UUID:
        """Return the id of a flow, which is made if it is missing."""
        if name not in self._ids:
            self._ids[name] = self.client.create_flow_from_name(name)
        return self._ids[name]


def deploy(
    flows: Flows,
    deployment: files.Deployment,
    changes: Changes,
    *,
    of_pool: Mapping[str, Any],
    project: str,
    present: "PresentDeployment | None",
    remembered: dict[str, dict[str, Any]],
) -> UUID | None:
    """Create or change a deployment. A schedule that a person has edited, or switched on or off, stays so.

    Args:
        flows: The flows on the server.
        deployment: The deployment in prefect.yaml.
        changes: The changes so far; this function adds its own.
        of_pool: The defaults of the pool's job variables, which a deployment doesn't repeat.
        project: The name of this project, which becomes a tag of the deployment.
        present: The deployment on the server.
        remembered: The schedules as bootstraps made them, by deployment and slug; this function brings it up to date.

    Returns:
        The id on the server; None in a dry run before the deployment exists.

    Raises:
        DeploymentError: Another project on the server has a deployment of that name.
    """
    flow = lint.load_flow(deployment.entrypoint)
    name = name_on_server(deployment)
    _is_ours(name, present, project)
    schedules, edited = _schedules(deployment, present, remembered.get(name, {}))
    for slug in edited:
        changes.note("schedule", f"{name} {slug}", "kept", "edited on the server; delete it there to get the file's")
    if made := {schedule.slug: _timing(schedule) for schedule in deployment.schedules}:
        remembered[name] = made
    else:
        remembered.pop(name, None)
    wanted = {
        "version": deployment.version,
        "description": deployment.description or flow.description or "",
        "tags": sorted({*deployment.tags, f"{TAG}{project}"}),
        "parameters": deployment.parameters,
        "entrypoint": deployment.entrypoint,
        "work_pool_name": deployment.work_pool.name,
        "work_queue_name": deployment.work_pool.work_queue_name or "default",
        "job_variables": {
            variable: value
            for variable, value in deployment.work_pool.job_variables.items()
            if variable not in of_pool or of_pool[variable] != value
        },
        "parameter_openapi_schema": lint.schema_of(flow, deployment.choices),
        "enforce_parameter_schema": deployment.enforce_parameter_schema,
        "pull_steps": list(deployment.pull),
        "concurrency": _concurrency(deployment),
        "schedules": [_plain(schedule) for schedule in schedules],
    }
    if present is not None and not (changed := differing(wanted, _as_deployed(present))):
        changes.note("deployment", name, "unchanged")
        return present.id
    deployment_id = None if present is None else present.id
    if not changes.dry_run:
        deployment_id = _put(flows, deployment, flow.name, wanted, schedules)
    if present is None:
        changes.note("deployment", name, "created")
    else:
        changes.note("deployment", name, "changed", ", ".join(changed))
    return deployment_id


def is_asked_for(deployment: files.Deployment, present: "PresentDeployment | None", made: Mapping[str, Any]) -> bool:
    """Return whether a deployment is wanted: one with `if_scheduled` only while a schedule of it is on.

    Args:
        deployment: The deployment in prefect.yaml, with the schedules of the spec.
        present: The deployment on the server, where a person may have switched a schedule on.
        made: Its schedules as the last bootstrap made them, by slug.
    """
    schedules, _ = _schedules(deployment, present, made)
    return not deployment.if_scheduled or any(schedule["active"] for schedule in schedules)


def name_on_server(deployment: files.Deployment) -> str:
    """Return the name on a server, as `flow/name`.

    Raises:
        DeploymentError: The flow can't be loaded.
    """
    return f"{lint.load_flow(deployment.entrypoint).name}/{deployment.name}"


def _is_ours(name: str, present: "PresentDeployment | None", project: str) -> None:
    """Refuse a deployment that another project on the server has made."""
    others = [tag.removeprefix(TAG) for tag in (present.tags if present else ()) if tag.startswith(TAG)]
    if others and project not in others:
        raise DeploymentError(
            f"the deployment {name!r} on this server belongs to the project {others[0]!r}, and this is the project "
            f"{project!r}; rename the model, or set EVERFIT_PROJECT={others[0]} if it is the same project"
        )


def _put(
    flows: Flows,
    deployment: files.Deployment,
    flow_name: str,
    wanted: dict[str, Any],
    schedules: list[dict[str, Any]],
) -> UUID:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    limit = deployment.concurrency_limit
    options = None
    if limit is not None:
        strategy = ConcurrencyLimitStrategy(limit.collision_strategy)
        options = ConcurrencyOptions(collision_strategy=strategy, grace_period_seconds=limit.grace_period_seconds)
    given = {key: value for key, value in wanted.items() if key not in {"concurrency", "schedules"}}
    return flows.client.create_deployment(
        flow_id=flows.id_of(flow_name),
        name=deployment.name,
        schedules=[DeploymentScheduleCreate.model_validate(schedule) for schedule in schedules],
        concurrency_limit=None if limit is None else limit.limit,
        concurrency_options=options,
        **given,
    )


def _schedules(
    deployment: files.Deployment, present: "PresentDeployment | None", made: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the schedules to deploy, and the slugs of those that a person has edited, which stay as they are."""
    there = {} if present is None else present.schedules
    schedules, edited = [], []
    for wanted in sorted(deployment.schedules, key=lambda one: one.slug):
        found, timing = there.get(wanted.slug), wanted.prefect().model_dump(mode="json")
        before = made.get(wanted.slug)
        if found is not None and before is not None and (now := _content(found["schedule"])) != before["schedule"]:
            if now != _content(timing):
                edited.append(wanted.slug)
            timing = found["schedule"]
        active = wanted.active
        if found is not None and (before is None or found["active"] != before["active"]):
            active = found["active"]  # a person has switched it since the last bootstrap
        schedules.append({"slug": wanted.slug, "schedule": timing, "active": active, "parameters": wanted.parameters})
    return schedules, edited


def _timing(schedule: files.Schedule) -> dict[str, Any]:
    return {"schedule": _content(schedule.prefect().model_dump(mode="json")), "active": schedule.active}


def _content(timing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of Prefect's schedule, without the beginning that Prefect gives to one that has none."""
    content = {key: value for key, value in timing.items() if key != "anchor_date"}
    return content | {"rrule": content["rrule"].removeprefix(_FROM_2020)} if "rrule" in content else content


def _as_deployed(present: "PresentDeployment") -> dict[str, Any]:
    content = present.content
    limit, options = content.get("global_concurrency_limit"), content.get("concurrency_options") or {}
    return {
        **content,
        "description": content.get("description") or "",
        "tags": sorted(present.tags),
        "pull_steps": content.get("pull_steps") or [],
        "concurrency": limit
        and [limit["limit"], options.get("collision_strategy"), options.get("grace_period_seconds")],
        "schedules": [
            _plain(schedule) for schedule in sorted(content["schedules"], key=lambda one: str(one.get("slug") or ""))
        ],
    }


def _concurrency(deployment: files.Deployment) -> list[Any] | None:
    limit = deployment.concurrency_limit
    return limit and [limit.limit, limit.collision_strategy, limit.grace_period_seconds]  # type: ignore[return-value]


def _plain(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a schedule for a comparison."""
    kept = {key: schedule.get(key) for key in ("slug", "active", "parameters")}
    return {**kept, "schedule": _content(schedule["schedule"])}
