"""Automations: found again by their names, changed where they differ, and never those of others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from everfit.deployments.server import files
from everfit.deployments.server.changes import Changes, differing

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


_PAGE = 200
_OURS = "everfit"
"""Tag of the automations that are made here."""


def of_deployment(
    client: "SyncPrefectClient", deployment: files.Deployment, deployment_id: UUID | None, changes: Changes
) -> None:
    """Make the automations of a deployment's triggers, and take away those of triggers that are gone.

    Args:
        client: Of the server.
        deployment: As the file has it.
        deployment_id: On the server; None if it would only be made.
        changes: The actions are added to it.
    """
    if deployment_id is None:
        for trigger in deployment.triggers:
            changes.note("automation", trigger["name"], "created")
        return
    related = client.read_resource_related_automations(f"prefect.deployment.{deployment_id}")
    found = {each.name: each for each in related}
    for entry in deployment.triggers:
        trigger = files.as_trigger(dict(entry))
        trigger.set_deployment_id(deployment_id)
        automation = trigger.as_automation()
        automation.tags = [_OURS]
        _put(client, automation, found.pop(trigger.name, None), changes)
    for name, automation in found.items():
        if _OURS not in automation.tags:
            continue  # somebody's own, that starts this deployment too
        if not changes.dry_run:
            client.delete_automation(automation.id)
        changes.note("automation", name, "removed", "its trigger is no longer in prefect.yaml")


def by_name(client: "SyncPrefectClient", wanted: Sequence[Any], changes: Changes) -> None:
    """Make the automations that belong to no deployment.

    Args:
        client: Of the server.
        wanted: As the file has them.
        changes: The actions are added to it.
    """
    there = _all(client)
    found = {each.name: each for each in there} | {each.name: each for each in there if _OURS in each.tags}
    for automation in wanted:
        automation.tags = [_OURS]
        _put(client, automation, found.get(automation.name), changes)


def _put(client: "SyncPrefectClient", wanted: Any, found: Any, changes: Changes) -> None:
    if found is None:
        if not changes.dry_run:
            client.create_automation(wanted)
        changes.note("automation", wanted.name, "created")
        return
    if _OURS not in found.tags:
        why = f"it is somebody's own, as it has not the tag {_OURS!r}; give it another name, and everfit's is made"
        changes.note("automation", wanted.name, "kept", why)
        return
    changed = differing(_plain(wanted), _plain(found))
    if changed and not changes.dry_run:
        content = wanted.model_dump(mode="json", exclude={"owner_resource"})  # whose it is stays as it is
        content["enabled"] = found.enabled  # a person has switched it
        client.request("PUT", "/automations/{id}", path_params={"id": found.id}, json=content)
    changes.note("automation", wanted.name, "changed" if changed else "unchanged", ", ".join(changed))


def _plain(automation: Any) -> dict[str, Any]:
    """What makes an automation the one it is; whether it is switched on is a person's affair."""
    # Not as JSON, in which the events that it waits for, a set, come in any order.
    return dict(automation.model_dump(exclude={"id", "enabled", "owner_resource", "tags", "created", "updated"}))


def _all(client: "SyncPrefectClient") -> list[Any]:
    """All automations, however many pages there are."""
    from prefect.events.schemas.automations import Automation

    found: list[Any] = []
    while True:
        asked = {"offset": len(found), "limit": _PAGE}
        page = client.request("POST", "/automations/filter", json=asked).json()
        found += [Automation.model_validate(each) for each in page]
        if len(page) < _PAGE:
            return found
