"""The bootstrap of a Prefect server and the stores: it creates or updates everfit's own things and nothing else."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from everfit.blocks.errors import DeploymentError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.server import automations, blocks, deploying, files, lint, listing, removal, work_pool
from everfit.deployments.server.changes import Changes
from everfit.deployments.server.locked_database import client_settings
from everfit.deployments.server.project import project_name
from everfit.deployments.server.schedules import with_schedules
from everfit.tasks.core.reachable import why_unreachable
from everfit.tasks.core.spec_loading import load_spec_file, spec_files

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

POOL = "everfit"


@dataclass(frozen=True)
class Options:
    """The options of a bootstrap.

    Attributes:
        dry_run: Whether the changes are only listed.
        wait: The number of seconds to wait for the API.
        notify: The notification block to use from now on, as `type/name`.
        services: Prediction services to use from now on, for specs without `release.services`.
        overwrite_specs: Whether stored specs that a person has edited are overwritten by the files.
        prune: Whether deployments, automations and stored specs of models that are gone are removed.
        by: Name of the person who accepts edited specs; by default the user of this machine.
    """

    dry_run: bool = False
    wait: float = 60.0
    notify: str | None = None
    services: tuple[str, ...] = ()
    overwrite_specs: bool = False
    prune: bool = False
    by: str = ""


def bootstrap(settings: Settings, options: Options) -> Changes:
    """Set up a Prefect server and the stores. A second run changes nothing.

    Args:
        settings: The settings of this installation.
        options: The options of the bootstrap.

    Raises:
        DeploymentError: A file has a mistake, no server is configured, or it doesn't answer in time.
        RoleError: A spec names its editors, and the person is none of them.
    """
    url = server_address()
    if problem := why_unreachable(url):
        sys.stderr.write(
            f"everfit: the Prefect server at {url} does not answer: {problem}; waiting up to {options.wait:.0f} s for "
            f"it (--wait)\n"
        )
    if problems := lint.find_problems():
        raise DeploymentError("; ".join(problems))
    from prefect import get_client

    from everfit.tasks.registry.code_version import code_version

    changes = Changes(options.dry_run)
    with get_client(sync_client=True, httpx_settings=client_settings()) as client:
        wait_for_api(client, url, options.wait)
        _stores(settings, changes)
        of_pool = work_pool.ensure(client, POOL, changes)
        project = project_name(settings)
        services = blocks.services(client, project, options.services, changes)
        specs = [_served(load_spec_file(path), services) for path in spec_files()]
        accept = partial(_accept, settings, options, changes)
        blocks.store_specs(client, specs, changes, overwrite=options.overwrite_specs, accept=accept)
        names = [spec.name for spec in specs]
        notification = blocks.notification(client, project, names, options.notify, changes)
        entries = files.deployments_of(files.read_prefect_file(), names, code_version(), project)
        described = {deploying.name_on_server(entry): entry for entry in with_schedules(entries, specs)}
        remembered = blocks.Schedules(client)
        present = listing.present_deployments(client, project, list(described))
        wanted = {
            name: entry
            for name, entry in described.items()
            if deploying.is_asked_for(entry, present.get(name), remembered.content.get(name, {}))
        }
        existing = listing.all_automations(client)
        related = listing.by_deployment(existing)
        flows = deploying.Flows(client)
        for name, deployment in wanted.items():
            deployment_id = deploying.deploy(
                flows,
                deployment,
                changes,
                of_pool=of_pool,
                project=project,
                present=present.get(name),
                remembered=remembered.content,
            )
            mentioning = [] if deployment_id is None else related.get(deployment_id, [])
            automations.of_deployment(client, deployment, deployment_id, mentioning, changes)
        replaced = removal.remove_replaced(client, present, related, changes, wanted=wanted, project=project)
        for name in replaced:
            remembered.content.pop(name, None)
        remembered.store(changes)
        own, waiting = files.automations_of(files.read_automations_file(), names, notification, project)
        automations.put_all(client, own, existing, changes)
        removal.report_orphans(
            client, present, changes, wanted={*wanted, *replaced}, models=names, project=project, prune=options.prune
        )
        for name in waiting:
            changes.note("automation", name, "waiting", "name a notification block: --notify TYPE/NAME")
    return changes


def server_address() -> str:
    """Return the address of the configured Prefect server.

    Raises:
        DeploymentError: No server is configured.
    """
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if url is None:
        raise DeploymentError(
            "no Prefect server is configured; set PREFECT_API_URL, such as http://127.0.0.1:4200/api, or run "
            "`everfit up`"
        )
    return str(url)


def wait_for_api(client: "SyncPrefectClient", url: str, seconds: float) -> None:
    """Wait until the server answers.

    Args:
        client: Client of the server.
        url: Address of the server.
        seconds: How long to wait.

    Raises:
        DeploymentError: It doesn't answer in time.
    """
    deadline, pause = time.monotonic() + seconds, 0.1
    # Prefect's client tries for long before it says that nobody listens.
    while (problem := why_unreachable(url) or client.api_healthcheck()) is not None:
        if time.monotonic() > deadline:
            raise DeploymentError(
                f"the Prefect server at {url} did not answer within {seconds:.0f} s: {problem}; start it by `prefect "
                f"server start` or `everfit up`, or set PREFECT_API_URL to its address"
            )
        time.sleep(pause)
        pause = min(1.5 * pause, 2.0)


def _served(spec: ModelSpec, services: Sequence[str]) -> ModelSpec:
    if not services or spec.release.services:
        return spec
    release = spec.release.model_copy(update={"services": tuple(services)})
    return spec.model_copy(update={"release": release})


def _accept(settings: Settings, options: Options, changes: Changes, spec: ModelSpec) -> None:
    """Record that a person accepts the spec of a file, if the spec names its editors."""
    from everfit.tasks.core.people import check_role
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns import accepted_spec
    from everfit.tasks.turns.accepted_copy import publish_accepted

    if Ledger.schema_of(settings) != "current":  # only with --dry-run, which must not make or migrate a ledger
        return
    ledger = Ledger.open(settings)
    accepted = accepted_spec.accepted_spec(ledger, spec.name)
    roles = accepted_spec.roles_in_force(ledger, spec)
    changed = accepted_spec.differing_keys(spec, accepted)
    if not roles.edit or not changed:
        return
    person = acting_person(settings, options.by or user_name())
    if changes.dry_run:
        check_role(spec.name, roles, "edit", person)
    else:
        accepted_spec.accept_spec(ledger, spec, person, "bootstrap", datetime.now(UTC))
        publish_accepted(ledger, Workspace.of(settings), spec.name)
    changes.note("accepted spec", spec.name, "created" if accepted is None else "changed", f"by {person.signed}")


def _stores(settings: Settings, changes: Changes) -> None:
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.storage.workspace import Workspace

    workspace = Workspace.of(settings)  # rejects a store without safe concurrent writes
    if workspace.remote:
        changes.note("workspace", workspace.uri, "unchanged")
    else:
        filesystem = workspace.filesystem
        exists = filesystem.isdir(workspace.uri)
        if not exists and not changes.dry_run:
            filesystem.makedirs(workspace.uri, exist_ok=True)
        changes.note("workspace", workspace.uri, "unchanged" if exists else "created")
    _note_schema(Ledger.schema_of(settings), lambda: Ledger.open(settings), changes)


def _note_schema(state: str, migrate: Callable[[], object], changes: Changes) -> None:
    if state != "current" and not changes.dry_run:
        migrate()
    changes.note("ledger", "schema", {"current": "unchanged", "older": "changed", "none": "created"}[state])  # type: ignore[arg-type]
