"""The commands of a Prefect server: `up`, `down`, `bootstrap`, `lint`, `constraints`, `emit`, `watch`."""

from typing import Annotated

import typer

from everfit.blocks.errors import DeploymentError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import SERVER, AsJson, DryRun, Reason, parse_time
from everfit.deployments.cli.output import print_json, telling, wait_for_others

app = typer.Typer()


@app.command(rich_help_panel=SERVER)
def bootstrap(  # noqa: PLR0917 - each is an option of the command
    dry_run: DryRun = False,
    wait: Annotated[float, typer.Option(min=0, help="The number of seconds to wait for the server.")] = 60,
    notify: Annotated[
        str | None,
        typer.Option(metavar="TYPE/NAME", help="The notification block to notify, such as slack-webhook/on-call."),
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A prediction service, for specs without `release.services`."),
    ] = None,
    overwrite_specs: Annotated[
        bool, typer.Option("--overwrite-specs", help="Overwrite stored specs that were edited on the server.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove deployments, automations and stored specs of models whose spec is gone."),
    ] = False,
    by: Annotated[
        str,
        typer.Option(
            help="The name of the person who accepts edited specs (`roles.edit`). By default the user of this machine."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Set up a Prefect server: pool, specs and deployments.

    It also creates the automations and the ledger. A second run changes nothing. Edits by people on the server stay.
    It reports what no spec asks for any more.
    """
    settings = Settings()
    environment.prepare(settings)
    from everfit.deployments.server.bootstrap import Options, bootstrap

    options = Options(
        dry_run=dry_run,
        wait=wait,
        notify=notify,
        services=tuple(service or ()),
        overwrite_specs=overwrite_specs,
        prune=prune,
        by=by,
    )
    changes = bootstrap(settings, options)
    if as_json:
        made = [vars(change) for change in changes.made]
        print_json({"dry_run": dry_run, "changed": changes.any, "changes": made})
        return
    from everfit.deployments.server.views import print_changes

    print_changes(changes)


@app.command(rich_help_panel=SERVER)
def constraints() -> None:
    """Print the tested versions of all packages, for pip.

    `pip install -c` and `uv pip install -c` take them from a file.
    """
    from pathlib import Path

    import everfit

    typer.echo(Path(everfit.__file__).resolve().with_name("constraints.txt").read_text(encoding="utf-8"), nl=False)


@app.command(rich_help_panel=SERVER)
def lint() -> None:
    """Find mistakes in specs, prefect.yaml and automations.yaml."""
    environment.prepare(Settings())
    from everfit.deployments.server.lint import find_problems
    from everfit.tasks.core.spec_loading import spec_files

    problems = find_problems()
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    specs = ", ".join(path.stem for path in spec_files()) or "none"
    typer.echo(f"No mistakes in the specs ({specs}), prefect.yaml and automations.yaml")


@app.command(rich_help_panel=SERVER)
def emit(
    event: Annotated[
        str,
        typer.Argument(metavar="EVENT", help="The event: data-arrived, code-merged, or another one of docs/server.md."),
    ],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")],
    reason: Reason = "",
    until: Annotated[
        str | None, typer.Option(help="The time up to which data is known, such as 2024-06-01. By default it is now.")
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--id", help="The id of the event; an event that is sent twice with one id counts once."),
    ] = None,
) -> None:
    """Send an event about a model, on which its deployments act."""
    environment.prepare(Settings())
    from everfit.deployments.server.emitting import full_name, send

    name = full_name(event)
    if not environment.has_server():
        raise DeploymentError("no Prefect server is configured; set PREFECT_API_URL, such as http://127.0.0.1:4200/api")
    environment.check_server()
    payload: dict[str, str] = {}
    if until is not None:
        payload["until"] = parse_time(until, "--until").isoformat()
    payload |= {name: value for name, value in (("reason", reason), ("id", identity)) if value}
    typer.echo(f"Sent {send(name, model, payload)} about everfit.model.{model}")


@app.command(rich_help_panel=SERVER)
def watch(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL…]", help="The models. By default all of deployments/models.")
    ] = None,
    every: Annotated[str, typer.Option(help="How often to look, such as 3s.")] = "3s",
) -> None:
    """Watch MLflow for changes that somebody makes by hand.

    These are a moved alias, and a deleted version, run or experiment. The flow `reconcile` looks for
    them every 15 minutes too.
    SIGTERM ends the watch.
    """
    import signal
    import threading

    from everfit.blocks.policy import parse_duration
    from everfit.deployments.cli.decisions import without_prefect
    from everfit.tasks.core.spec_loading import spec_files
    from everfit.tasks.incidents.delivery import load_notification_services
    from everfit.tasks.release.registry_watch import watch_registry

    try:
        seconds = parse_duration(every).total_seconds()
    except ValueError as error:
        raise DeploymentError(f"--every: {error}") from error
    names = models or [path.stem for path in spec_files()]
    if not names or seconds <= 0:
        raise DeploymentError("there is nothing to watch; name models, and give --every more than 0s")
    opened = [without_prefect(name) for name in names]
    if all(server for _, server in opened):
        load_notification_services()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    typer.echo(f"Watching MLflow for {', '.join(context.spec.name for context, _ in opened)}, every {every}")
    wait_for_others()
    watch_registry([context for context, _ in opened], lambda: over.wait(seconds), announce=all(ok for _, ok in opened))


@app.command(rich_help_panel=SERVER)
def up(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL…]", help="The models to serve. By default all of deployments/models."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="EVERFIT_DB_URL", help="A PostgreSQL URL for Prefect, MLflow and the ledger. By default SQLite."
        ),
    ] = None,
) -> None:
    """Start Prefect, MLflow, worker and service on this machine."""
    from everfit.deployments.server import stack
    from everfit.deployments.server.views import print_stack

    print_stack(stack.up(Settings(), models or [], database, telling))


@app.command(rich_help_panel=SERVER)
def down() -> None:
    """Stop the processes of `everfit up`."""
    from everfit.deployments.server import stack

    stopped = stack.down(Settings())
    typer.echo(f"Stopped {', '.join(stopped)}" if stopped else "Nothing to stop: no process of `everfit up` is running")
