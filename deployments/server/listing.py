"""Read what is on a Prefect server in pages, since a request for each deployment of many models takes minutes."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from everfit.deployments.server.project import TAG

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

OURS = "everfit"
"""The tag of everfit's own deployments and automations."""
_PAGE = 200
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class PresentDeployment:
    """A deployment on a server.

    Attributes:
        name: Its name, as `flow/name`.
        content: As the server answers; Prefect's client takes milliseconds to read one.
    """

    name: str
    content: Mapping[str, Any]

    @property
    def id(self) -> UUID:
        """The id on the server."""
        return UUID(self.content["id"])

    @property
    def tags(self) -> list[str]:
        """The tags."""
        return list(self.content["tags"])

    @property
    def schedules(self) -> dict[str, dict[str, Any]]:
        """The schedules that have a slug, by slug."""
        return {str(one["slug"]): one for one in self.content["schedules"] if one.get("slug")}


def tagged_deployments(client: "SyncPrefectClient", tag: str) -> list[PresentDeployment]:
    """Return everfit's deployments with a tag."""
    return _named(client, _pages(client, "deployments", {"deployments": {"tags": {"all_": [OURS, tag]}}}))


def present_deployments(
    client: "SyncPrefectClient", project: str, names: Sequence[str]
) -> dict[str, PresentDeployment]:
    """Return the deployments of a project, and those of others that have one of some names, by `flow/name`.

    Args:
        client: The client of the server.
        project: The name of the project.
        names: Names of deployments, as `flow/name`.
    """
    found = {deployment.name: deployment for deployment in tagged_deployments(client, f"{TAG}{project}")}
    missing = sorted({name.rpartition("/")[2] for name in names if name not in found})
    for start in range(0, len(missing), _PAGE):
        wanted = {"deployments": {"name": {"any_": missing[start : start + _PAGE]}}}
        found |= {each.name: each for each in _named(client, _pages(client, "deployments", wanted))}
    return found


def all_automations(client: "SyncPrefectClient") -> list[Any]:
    """Return all automations."""
    from prefect.events.schemas.automations import Automation

    return [Automation.model_validate(content) for content in _pages(client, "automations", {})]


def unfinished_runs(client: "SyncPrefectClient", deployments: Sequence[UUID]) -> set[UUID]:
    """Return those of some deployments that have runs which wait or run."""
    states = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]}}}
    found: set[UUID] = set()
    for start in range(0, len(deployments), _PAGE):
        ids = {"id": {"any_": [str(one) for one in deployments[start : start + _PAGE]]}}
        runs = _pages(client, "flow_runs", {"deployments": ids, "flow_runs": states})
        found |= {UUID(run["deployment_id"]) for run in runs}
    return found


def stored_blocks(client: "SyncPrefectClient", slug: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the stored blocks of a type, by name, each with its form and the time of its last change.

    Args:
        client: The client of the server.
        slug: The slug of the type.
        names: The names of the blocks.
    """
    from prefect.client.schemas.objects import BlockDocument

    found: dict[str, Any] = {}
    for start in range(0, len(names), _PAGE):
        wanted = {
            "block_types": {"slug": {"any_": [slug]}},
            "block_documents": {"name": {"any_": list(names[start : start + _PAGE])}},
            "include_secrets": True,
        }
        for content in _pages(client, "block_documents", wanted):
            found[str(content["name"])] = BlockDocument.model_validate(content)
    return found


def by_deployment(automations: Sequence[Any]) -> dict[UUID, list[Any]]:
    """Return automations by each deployment that they belong to, start or mention."""
    found: dict[UUID, list[Any]] = defaultdict(list)
    for automation in automations:
        for mentioned in sorted(set(_UUID.findall(automation.model_dump_json())) - {str(automation.id)}):
            found[UUID(mentioned)].append(automation)
    return found


def _pages(client: "SyncPrefectClient", kind: str, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all things of a kind that a filter of Prefect's API finds."""
    found: list[dict[str, Any]] = []
    while True:
        request = {**wanted, "offset": len(found), "limit": _PAGE}
        page = client.request("POST", f"/{kind}/filter", json=request).json()  # type: ignore[arg-type]
        found += page
        if len(page) < _PAGE:
            return found


def _named(client: "SyncPrefectClient", deployments: Sequence[Mapping[str, Any]]) -> list[PresentDeployment]:
    ids = sorted({str(deployment["flow_id"]) for deployment in deployments})
    flows = (
        {flow["id"]: flow["name"] for flow in _pages(client, "flows", {"flows": {"id": {"any_": ids}}})} if ids else {}
    )
    named = [PresentDeployment(f"{flows[one['flow_id']]}/{one['name']}", one) for one in deployments]
    return sorted(named, key=lambda one: (str(one.content["name"]), str(one.content["id"])))
