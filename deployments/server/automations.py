"""The automations on a server. everfit matches them by name and never changes those of other people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from everfit.deployments.server import files
from everfit.deployments.server.changes import Changes, differing
from everfit.deployments.server.listing import OURS, all_automations

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_FORMER = frozenset({"everfit escalated", "everfit crashed run", "everfit failed run"})
"""Automations of earlier versions, whose work everfit's flows or those of a project do now; both would notify twice."""


def of_deployment(
    client: "SyncPrefectClient",
    deployment: files.Deployment,
    deployment_id: UUID | None,
    related: Sequence[Any],
    changes: Changes,
) -> None:
    """Create the automations of a deployment's triggers, and delete those without a trigger.

    Args:
        client: The client of the server.
        deployment: The deployment in prefect.yaml.
        deployment_id: The id on the server; None in a dry run before the deployment exists.
        related: The automations on the server that mention the deployment.
        changes: The changes so far; this function adds its own.
    """
    if deployment_id is None:
        for trigger in deployment.triggers:
            changes.note("automation", trigger["name"], "created")
        return
    existing = {automation.name: automation for automation in related}
    for entry in deployment.triggers:
        trigger = files.as_trigger(dict(entry))
        trigger.set_deployment_id(deployment_id)
        automation = trigger.as_automation()
        automation.tags = [OURS]
        _put(client, automation, existing.pop(trigger.name, None), changes)
    for name, automation in existing.items():
        if OURS not in automation.tags:
            continue  # a person's own automation of this deployment
        if not changes.dry_run:
            client.delete_automation(automation.id)
        changes.note("automation", name, "removed", "its trigger is no longer in prefect.yaml")


def put_all(client: "SyncPrefectClient", wanted: Sequence[Any], existing: Sequence[Any], changes: Changes) -> None:
    """Create or change the automations of automations.yaml.

    Args:
        client: The client of the server.
        wanted: The automations in the file.
        existing: The automations on the server.
        changes: The changes so far; this function adds its own.
    """
    by_name = {one.name: one for one in existing} | {one.name: one for one in existing if OURS in one.tags}
    for automation in wanted:
        automation.tags = [OURS]
        _put(client, automation, by_name.get(automation.name), changes)
    names = {automation.name for automation in wanted}
    for automation in existing:
        if automation.name in _FORMER - names and OURS in automation.tags:
            if not changes.dry_run:
                client.delete_automation(automation.id)
            changes.note("automation", automation.name, "removed", "another one does its work now")


def of_model(client: "SyncPrefectClient", model: str) -> list[Any]:
    """Return everfit's automations about a model: their names end with its name."""
    return [one for one in all_automations(client) if OURS in one.tags and str(one.name).endswith(f", {model}")]


def _put(client: "SyncPrefectClient", wanted: Any, present: Any, changes: Changes) -> None:
    if present is None:
        if not changes.dry_run:
            client.create_automation(wanted)
        changes.note("automation", wanted.name, "created")
        return
    if OURS not in present.tags:
        reason = f"it belongs to a person, since it has no tag {OURS!r}; rename it, and bootstrap creates everfit's"
        changes.note("automation", wanted.name, "kept", reason)
        return
    changed = differing(_plain(wanted), _plain(present))
    if changed and not changes.dry_run:
        content = wanted.model_dump(mode="json", exclude={"owner_resource"})  # the owner stays
        content["enabled"] = present.enabled  # a person may have switched it off
        client.request("PUT", "/automations/{id}", path_params={"id": present.id}, json=content)
    changes.note("automation", wanted.name, "changed" if changed else "unchanged", ", ".join(changed))


def _plain(automation: Any) -> dict[str, Any]:
    """Return the content of an automation for a comparison, without its id and switch."""
    # Not as JSON: it would list the set of expected events in any order.
    return dict(automation.model_dump(exclude={"id", "enabled", "owner_resource", "tags", "created", "updated"}))
