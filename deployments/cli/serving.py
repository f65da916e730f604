"""Commands of what runs beside the loop: `serve`, `token`, `trace`; and what is handed over in files."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.blocks.content import SpecContent
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.context import Context

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


@app.command()
def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL…", help="Spec files, names of specs or of blocks; each once.")
    ],
    host: Annotated[str, typer.Option(help="To bind to; one that others can reach needs --tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="To bind to.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    tokens: Annotated[
        Path | None, typer.Option(help="Who may ask: a file with the lines that `everfit token` prints.")
    ] = None,
) -> None:
    """Serve champions over HTTP, follow the registry, and log every answer; SIGTERM drains and ends it.

    Limits, durability and trials are the spec's `release.serving`.
    """
    settings = Settings()
    environment.prepare_without_prefect(settings)  # a service is up without it, and sooner
    from everfit.infra.serving import run

    specs = [_spec_to_serve(model, settings) for model in models]
    run(
        [spec.name for spec in specs],
        host,
        port,
        workers,
        policies={spec.name: spec.release.serving for spec in specs},
        tokens_file=tokens,
    )


def _spec_to_serve(model: str, settings: Settings) -> "SpecContent":
    from everfit.tasks.core.spec_loading import file_content, load_spec

    found = file_content(model)
    if found is None:
        environment.prepare(settings)
        found = load_spec(model)
    return found


@app.command()
def token(
    client: Annotated[str, typer.Argument(help="Whom it is for: letters, digits, hyphens, underscores and dots.")],
    as_json: AsJson = False,
) -> None:
    """Make a token for a client of the service, and the line for the token file, which holds only its hash."""
    from everfit.infra.serving.access import new_token

    secret, line = new_token(client)
    if as_json:
        _print_json({"client": client, "token": secret, "line": line})
        return
    typer.echo("Give this to the client; it is kept nowhere and can't be shown again:", err=True)
    typer.echo(secret, err=True)
    typer.echo("Add this line to the token file (`>> FILE` does it); a running service reads it by itself:", err=True)
    typer.echo(line)


@app.command()
def trace(
    prediction: Annotated[str, typer.Argument(metavar="PREDICTION_ID", help="As the service answered it.")],
    model: Annotated[
        str | None,
        typer.Option(help="A spec file, the name of a spec or of a block; by default all are looked through."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a prediction came from: version, run, data, decision, release, trigger, code; and what came true."""
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.batch.trace import trace as traced
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.registry.mlflow_client import tracking_client
    from everfit.tasks.storage.workspace import Workspace

    workspace, client = Workspace.of(settings), tracking_client(settings)
    name = _model_of(prediction, client, workspace) if model is None else load_spec(model).name
    found = traced(
        prediction,
        name,
        predicted=workspace.table(name, "predictions"),
        told=workspace.table(name, "labels"),
        ledger=Ledger.open_existing(settings),
        client=client,
    )
    if as_json:
        _print_json(found.model_dump(mode="json"))
        return
    from everfit.deployments.cli.traced import print_trace

    print_trace(found)


def _model_of(prediction: str, client: "MlflowClient", workspace: "Workspace") -> str:
    from everfit.tasks.predictions import prediction_log
    from everfit.tasks.registry import model_registry

    names = [name for name in model_registry.names(client) if workspace.table(name, "predictions").exists()]
    if not names:
        raise DataError(f"nothing was predicted in {workspace.uri!r} yet; is EVERFIT_WORKSPACE the right one?")
    for name in names:
        try:
            if len(names) == 1 or prediction_log.find(workspace.table(name, "predictions"), prediction) is not None:
                return name
        except ValueError:
            return name  # it is no id, which is told in the same words as for a model that is named
    raise DataError(
        f"no log of {', '.join(names)} has a prediction {prediction!r}; one that was just answered is there in a moment"
    )


def print_scored_file(model: str, path: str, *, as_json: bool) -> None:
    """Predict on a file's rows, and tell of it.

    Args:
        model: As the commands take it.
        path: The file.
        as_json: Print JSON.
    """
    context = _context(model)
    from everfit.tasks.batch.manual_files import score_file

    found = score_file(context, path)
    if as_json:
        _print_json({"model": context.spec.name, **found.model_dump(mode="json")})
    else:
        typer.echo(f"{path}: {found.added:,} predictions of version {found.model_version}, events {found.window}")


def print_label_file(model: str, path: str, now: datetime, *, as_json: bool) -> None:
    """Take a file's labels, and tell of them.

    Args:
        model: As the commands take it.
        path: The file.
        now: When labels became known that don't say so.
        as_json: Print JSON.
    """
    context = _context(model)
    from everfit.tasks.batch.manual_files import record_label_file

    found = record_label_file(context, path, origin="file", now=now)
    if as_json:
        _print_json({"model": context.spec.name, **found.model_dump(mode="json")})
        return
    told = found.recorded
    typer.echo(
        f"{path}: {told.added:,} new labels, {told.corrected:,} corrected, {told.unchanged:,} known already, "
        f"{told.older:,} older than what is known; {found.unmatched:,} keys have a label and no prediction"
    )


def _context(model: str) -> "Context":
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    return Context(load_spec(model), settings)


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, default=str, allow_nan=False))
