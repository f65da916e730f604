"""Commands for a Prefect server: `bootstrap`, `check`, `emit`, `up`, `down`."""

import json
from typing import Annotated

import typer

from everfit.blocks.errors import DeploymentError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


@app.command()
def bootstrap(  # noqa: PLR0917 - each is an option of the command
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds that the server has to come up.")] = 60,
    notify: Annotated[
        str | None,
        typer.Option(metavar="TYPE/NAME", help="The notification block to use, such as slack-webhook/on-call."),
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A prediction service, for specs that name none.")
    ] = None,
    overwrite_specs: Annotated[
        bool, typer.Option("--overwrite-specs", help="Take the files' specs where stored ones were edited.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set up a Prefect server: work pool, specs as blocks, deployments, automations, ledger.

    Run again, it changes nothing.
    """
    settings = Settings()
    environment.prepare(settings)
    from everfit.deployments.server.bootstrap import Options, bootstrap

    options = Options(
        dry_run=dry_run, wait=wait, notify=notify, services=tuple(service or ()), overwrite_specs=overwrite_specs
    )
    changes = bootstrap(settings, options)
    if as_json:
        made = [vars(change) for change in changes.made]
        typer.echo(json.dumps({"dry_run": dry_run, "changed": changes.any, "changes": made}))
        return
    from everfit.deployments.server.tables import print_changes

    print_changes(changes)


@app.command()
def check() -> None:
    """Check specs, prefect.yaml and automations.yaml strictly: unknown keys, schedules, parameters, entrypoints."""
    environment.prepare(Settings())
    from everfit.deployments.server.check import find_problems

    problems = find_problems()
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo("specs, prefect.yaml and automations.yaml are as they should be")


@app.command()
def emit(
    event: Annotated[str, typer.Argument(help="data-arrived, code-merged, or another event of docs/server.md.")],
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    reason: Annotated[str | None, typer.Option(help="Why, for whoever reads the history.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Up to when data is known, such as 2024-06-01; by default now.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--id", help="Names what happened: sent twice, it is one and the same.")
    ] = None,
) -> None:
    """Tell the Prefect server that something happened to a model, for its deployments to act on."""
    environment.prepare(Settings())
    from everfit.deployments.server.emitting import send

    if not environment.has_server():
        raise DeploymentError("no Prefect server is configured; set PREFECT_API_URL, such as http://127.0.0.1:4200/api")
    payload: dict[str, str] = {}
    if until is not None:
        from everfit.deployments.cli.monitoring import moment

        payload["until"] = moment(until, "--until").isoformat()
    payload |= {name: value for name, value in (("reason", reason), ("id", identity)) if value is not None}
    told = send(event, model, payload)
    typer.echo(f"{told} was sent about everfit.model.{model}")


@app.command()
def up(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL…]", help="To serve; by default those of deployments/models.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(envvar="EVERFIT_DB_URL", help="PostgreSQL URL for Prefect, MLflow and the ledger; else SQLite."),
    ] = None,
) -> None:
    """Start Prefect, MLflow, a worker and the prediction service on this machine, and set the server up."""
    from everfit.deployments.server import stack
    from everfit.deployments.server.tables import print_stack

    print_stack(stack.up(Settings(), models or [], database))


@app.command()
def down() -> None:
    """Stop what `everfit up` has started, and nothing else."""
    from everfit.deployments.server import stack

    stopped = stack.down(Settings())
    typer.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing of it is running")
