"""Removal of a model from a Prefect server: its deployments with their schedules, automations and stored spec."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from everfit.deployments.server import automations, blocks, files, listing
from everfit.deployments.server.changes import Changes
from everfit.deployments.server.project import TAG

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

MODEL_TAG = "model:"


def remove_replaced(
    client: "SyncPrefectClient",
    present: Mapping[str, listing.PresentDeployment],
    related: Mapping[UUID, Sequence[Any]],
    changes: Changes,
    *,
    wanted: Mapping[str, files.Deployment],
    project: str,
) -> list[str]:
    """Remove a model's deployments whose work a deployment for all models does now, with their automations.

    One with runs that wait or run stays until a later bootstrap, and one that somebody's own automation starts stays.

    Args:
        client: The client of the server.
        present: The deployments before this bootstrap, by `flow/name`.
        related: The automations before it, by the deployments that they mention.
        changes: The changes so far; this function adds its own.
        wanted: The deployments of this bootstrap, by `flow/name`.
        project: The name of this project.

    Returns:
        The names of those that are replaced, as `flow/name`.
    """
    chosen = {
        name.partition("/")[0]: {value for values in entry.choices.values() for value in values}
        for name, entry in wanted.items()
        if entry.choices
    }
    replaced = [
        one
        for name, one in present.items()
        if name not in wanted
        and f"{TAG}{project}" in one.tags
        and _model_of(one) in chosen.get(name.partition("/")[0], ())
    ]
    busy = listing.unfinished_runs(client, [one.id for one in replaced])
    for one in replaced:
        theirs = [automation.name for automation in related.get(one.id, ()) if listing.OURS not in automation.tags]
        for automation in related.get(one.id, ()):
            if listing.OURS in automation.tags:
                if not changes.dry_run:
                    client.delete_automation(automation.id)
                off = "" if automation.enabled else "; it was switched off, and the other one is for all models"
                changes.note("automation", automation.name, "removed", f"another one does its work now{off}")
        if theirs:
            changes.note("deployment", one.name, "kept", f"somebody's own automation starts it: {theirs[0]}")
        elif one.id in busy:
            changes.note("deployment", one.name, "kept", "it has runs that wait or run; a later bootstrap removes it")
        else:
            if not changes.dry_run:
                client.delete_deployment(one.id)
            changes.note("deployment", one.name, "removed", "a deployment for all models does its work now")
    return [one.name for one in replaced]


def _model_of(deployment: listing.PresentDeployment) -> str | None:
    return next((tag.removeprefix(MODEL_TAG) for tag in deployment.tags if tag.startswith(MODEL_TAG)), None)


def report_orphans(
    client: "SyncPrefectClient",
    present: Mapping[str, listing.PresentDeployment],
    changes: Changes,
    *,
    wanted: Collection[str],
    models: Collection[str],
    project: str,
    prune: bool,
) -> None:
    """Report the deployments of this project that no spec and no entry asks for, and remove them if asked.

    Args:
        client: The client of the server.
        present: The deployments before this bootstrap, by `flow/name`.
        changes: The changes so far; this function adds its own.
        wanted: The deployments of this bootstrap, as `flow/name`.
        models: The models that have a spec.
        project: The name of this project.
        prune: Whether to remove them.
    """
    gone: set[str] = set()
    for name, deployment in present.items():
        if f"{TAG}{project}" not in deployment.tags:
            continue
        model = _model_of(deployment)
        if model is not None and model not in models:
            gone.add(model)
        elif name not in wanted:
            if prune:
                _remove_deployment(client, deployment, changes)
            else:
                changes.note("deployment", name, "kept", "no entry of prefect.yaml asks for it; --prune removes it")
    for model in sorted(gone):
        if prune:
            remove_model(client, model, changes)
        else:
            changes.note(
                "model", model, "kept", "its spec is gone; --prune removes its deployments, schedules, automations"
            )


def remove_model(client: "SyncPrefectClient", model: str, changes: Changes) -> None:
    """Remove what everfit made for a model on the server. Flow runs and artifacts stay: they are its history.

    Args:
        client: The client of the server.
        model: The name of the model.
        changes: The changes so far; this function adds its own.
    """
    for deployment in listing.tagged_deployments(client, f"{MODEL_TAG}{model}"):
        _remove_deployment(client, deployment, changes)
    for automation in automations.of_model(client, model):
        if not changes.dry_run:
            client.delete_automation(automation.id)
        changes.note("automation", automation.name, "removed", "its model is gone")
    blocks.forget_spec(client, model, changes)
    blocks.Schedules(client).forget(model, changes)


def _remove_deployment(client: "SyncPrefectClient", deployment: listing.PresentDeployment, changes: Changes) -> None:
    for automation in client.read_resource_related_automations(f"prefect.deployment.{deployment.id}"):
        if listing.OURS not in automation.tags:
            continue  # a person's own
        if not changes.dry_run:
            client.delete_automation(automation.id)
        changes.note("automation", automation.name, "removed", "its deployment is gone")
    if not changes.dry_run:
        client.delete_deployment(deployment.id)
    changes.note("deployment", deployment.name, "removed", "with its schedules")
