"""Read what is on a Prefect server in pages, since a request for each deployment of many models takes minutes."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from everfit.deployments.server.project import TAG

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import DeploymentFilter
    from prefect.client.schemas.responses import DeploymentResponse

OURS = "everfit"
"""The tag of everfit's own deployments and automations."""
_PAGE = 200
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def tagged_deployments(client: "SyncPrefectClient", tag: str) -> "list[tuple[DeploymentResponse, str]]":
    """Return everfit's deployments with a tag, each with its name as `flow/name`."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    return _named(client, _pages(client, DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS, tag]))))


def present_deployments(
    client: "SyncPrefectClient", project: str, names: Sequence[str]
) -> "dict[str, DeploymentResponse]":
    """Return the deployments of a project, and those of others that have one of some names, by `flow/name`.

    Args:
        client: The client of the server.
        project: The name of the project.
        names: Names of deployments, as `flow/name`.
    """
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    found = {name: deployment for deployment, name in tagged_deployments(client, f"{TAG}{project}")}
    missing = sorted({name.rpartition("/")[2] for name in names if name not in found})
    for start in range(0, len(missing), _PAGE):
        wanted = DeploymentFilter(name=DeploymentFilterName(any_=missing[start : start + _PAGE]))
        found |= {name: deployment for deployment, name in _named(client, _pages(client, wanted))}
    return found


def all_automations(client: "SyncPrefectClient") -> list[Any]:
    """Return all automations."""
    from prefect.events.schemas.automations import Automation

    automations: list[Any] = []
    while True:
        request = {"offset": len(automations), "limit": _PAGE}
        page = client.request("POST", "/automations/filter", json=request).json()
        automations += [Automation.model_validate(content) for content in page]
        if len(page) < _PAGE:
            return automations


def by_deployment(automations: Sequence[Any]) -> dict[UUID, list[Any]]:
    """Return automations by each deployment that they belong to, start or mention."""
    found: dict[UUID, list[Any]] = defaultdict(list)
    for automation in automations:
        for mentioned in sorted(set(_UUID.findall(automation.model_dump_json())) - {str(automation.id)}):
            found[UUID(mentioned)].append(automation)
    return found


def _pages(client: "SyncPrefectClient", wanted: "DeploymentFilter") -> "list[DeploymentResponse]":
    found: list[DeploymentResponse] = []
    while True:
        page = client.read_deployments(deployment_filter=wanted, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return sorted(found, key=lambda deployment: (deployment.name, str(deployment.id)))


def _named(
    client: "SyncPrefectClient", deployments: "Sequence[DeploymentResponse]"
) -> "list[tuple[DeploymentResponse, str]]":
    ids = {deployment.flow_id for deployment in deployments}
    flows = {flow_id: client.read_flow(flow_id).name for flow_id in ids}
    return [(deployment, f"{flows[deployment.flow_id]}/{deployment.name}") for deployment in deployments]
