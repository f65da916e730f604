"""The commands about a model as a whole: `rename`, `retire`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import SpecError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import UPKEEP, By, Reason
from everfit.deployments.cli.output import wait_for_others

app = typer.Typer()

_SPECS = Path("deployments/models")


@app.command(rich_help_panel=UPKEEP)
def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The present name of the model.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name to give: small letters, digits and hyphens.")],
    by: By = "",
    reason: Reason = "",
) -> None:
    """Rename a model; its history, versions and data stay.

    If it is interrupted, run it again. Services of the model run on, and answer under both names.
    """
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)
    environment.prepare(settings)
    _check_name(new)
    _require_role(old, by)
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.mlflow_client import tracking_client
    from everfit.tasks.retention.renaming import Renaming, rename_model
    from everfit.tasks.storage.workspace import Workspace

    rename_model(
        Renaming(old=old, new=new, by=by or user_name(), reason=reason or "no reason was given"),
        ledger=ledger,
        workspace=Workspace.of(settings),
        client=tracking_client(settings),
        progress=lambda part: typer.echo(f"  renamed      {part}"),
    )
    spec = _rename_spec(old, new)
    _remove_from_server(old, new)
    typer.echo(f"{old} is {new} now")
    if spec is None:
        typer.echo(f"Next: write name: {new} into the model's spec")
    typer.echo("On a Prefect server: run everfit bootstrap")
    typer.echo(f"Services of the model run on, and answer under both names; start them as {new} when it suits you")


@app.command(rich_help_panel=UPKEEP)
def retire(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")],
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete its tables, files, runs and versions too. The ledger stays.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete the data without asking.")] = False,
    by: By = "",
    reason: Reason = "",
) -> None:
    """End a model: nothing runs for it, and its history stays."""
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)
    environment.prepare(settings)
    _require_role(model, by)
    if delete_data and not yes:
        wait_for_others()
        typer.confirm(f"Delete all data, runs and versions of {model}? This can't be undone", abort=True)
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.mlflow_client import tracking_client
    from everfit.tasks.retention.retirement import Retirement, retire_model
    from everfit.tasks.storage.workspace import Workspace

    _remove_from_server(model)  # first, so that no schedule starts a run meanwhile
    retire_model(
        Retirement(model=model, by=by or user_name(), reason=reason or "no reason was given", deleted_data=delete_data),
        ledger=ledger,
        workspace=Workspace.of(settings),
        client=tracking_client(settings),
    )
    typer.echo(f"{model} is retired{' and its data is deleted' if delete_data else ''}")
    typer.echo(f"Its history stays: everfit history {model}")
    if (spec := _SPECS / f"{model}.yaml").is_file():
        typer.echo(f"Next: delete {spec}, or the next everfit bootstrap deploys the model again")
    typer.echo("A service that serves the model answers until it is stopped")


def _require_role(model: str, by: str) -> None:
    """Refuse a person without the right to end or rename the model, by the spec of its newest turn that trained."""
    from datetime import UTC, datetime

    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.turns.entitlement import require_role_by_record

    settings = Settings()
    person = acting_person(settings, by or user_name())
    require_role_by_record(model, "retire", person, datetime.now(UTC), settings)


def _check_name(name: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    kind = SpecContent.model_fields["name"]
    try:
        TypeAdapter(Annotated[str, *kind.metadata]).validate_python(name)
    except ValidationError as error:
        reserved = error.errors()[0]["type"] == "value_error"
        raise SpecError(
            f"NEW {error.errors()[0]['msg'].removeprefix('Value error, ')}"
            if reserved
            else f"NEW {name!r} is no name of a model; give small letters, digits and hyphens, at most 63"
        ) from None


def _rename_spec(old: str, new: str) -> Path | None:
    """Write the new name into the spec of `deployments/models`, and rename the file, if there is one."""
    path, target = _SPECS / f"{old}.yaml", _SPECS / f"{new}.yaml"
    if not path.is_file():
        return target if target.is_file() else None
    text, count = re.subn(
        rf"^name:\s*[\"']?{re.escape(old)}[\"']?(?=\s|$)", f"name: {new}", path.read_text("utf-8"), flags=re.MULTILINE
    )
    if not count or target.exists():
        return None
    target.write_text(text, encoding="utf-8")
    path.unlink()
    typer.echo(f"  renamed      {path} to {target}")
    return target


def _remove_from_server(model: str, new: str | None = None) -> None:
    """Remove the model's deployments, automations and stored spec from a Prefect server that is configured.

    Args:
        model: The name of the model.
        new: The name under which its stored spec is kept.
    """
    if not environment.server_answers():
        return
    from prefect import get_client

    from everfit.deployments.server import blocks, removal
    from everfit.deployments.server.changes import Changes
    from everfit.deployments.server.views import print_changes

    changes = Changes(dry_run=False)
    with get_client(sync_client=True) as client:
        if new is not None:
            blocks.rename_spec(client, model, new)
        removal.remove_model(client, model, changes)
    if changes.any:
        print_changes(changes)
