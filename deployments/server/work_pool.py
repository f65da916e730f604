"""The work pool on a server: created if it is missing, and never changed."""

from typing import TYPE_CHECKING, Any

from everfit.deployments.server import files
from everfit.deployments.server.changes import Changes
from everfit.deployments.server.placeholders import has_placeholder

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def ensure(client: "SyncPrefectClient", name: str, changes: Changes) -> dict[str, Any]:
    """Create the pool unless there is one, and return the defaults of its job variables.

    A new pool has the job variables of prefect.yaml as its defaults. A deployment then needs none of its own, which the
    server would check again for each: that takes as long as all else about a deployment.

    Args:
        client: The client of the server.
        name: The name of the pool.
        changes: The changes so far; this function adds its own.
    """
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        template = _template(name)
        if not changes.dry_run:
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        changes.note("work pool", name, "created", "of type process")
        return _defaults(template)
    changes.note("work pool", name, "unchanged", f"of type {pool.type}")
    return _defaults(pool.base_job_template)


def _template(pool: str) -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    template: dict[str, Any] = ProcessWorker.get_default_base_job_template()
    variables = template["variables"]["properties"]
    for name, value in _shared_variables(pool).items():
        if name in variables:
            variables[name]["default"] = value
    return template


def _shared_variables(pool: str) -> dict[str, Any]:
    """Return the job variables that all deployments of prefect.yaml on a pool have."""
    pools = [entry.get("work_pool") or {} for entry in files.read_prefect_file().deployments]
    given = [each.get("job_variables") or {} for each in pools if each.get("name") == pool]
    first = given[0] if given else {}
    shared = {name: value for name, value in first.items() if all(name in one and one[name] == value for one in given)}
    return {name: value for name, value in shared.items() if not has_placeholder(value, "{{")}


def _defaults(template: dict[str, Any]) -> dict[str, Any]:
    variables = template.get("variables", {}).get("properties", {})
    return {name: variable["default"] for name, variable in variables.items() if "default" in variable}
