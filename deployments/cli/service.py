"""The commands of the prediction service: `serve`, `token`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import SERVE, AsJson, Models
from everfit.deployments.cli.output import print_json, wait_for_others

if TYPE_CHECKING:
    from everfit.blocks.content import SpecContent

app = typer.Typer()


@app.command(rich_help_panel=SERVE)
def serve(
    models: Models,
    host: Annotated[
        str, typer.Option(help="The address to listen on. An address that others can reach needs --tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="The number of processes.")] = 1,
    tokens: Annotated[
        Path | None,
        typer.Option(help="A file with the lines that `everfit token` prints; only these clients may send requests."),
    ] = None,
) -> None:
    """Serve champions over HTTP, and log every prediction.

    The service follows the registry: a new champion is served within seconds. SIGTERM answers the open requests and
    ends it. The spec's `release.serving` sets limits and durability.
    """
    settings = Settings()
    environment.prepare_without_prefect(settings)  # a service starts without Prefect, and faster
    from everfit.infra.serving import run
    from everfit.infra.serving.accepted_specs import check_accepted

    specs = [_spec_to_serve(model, settings) for model in models]
    for spec in specs:
        check_accepted(spec, settings)
    wait_for_others()
    run(
        [spec.name for spec in specs],
        host,
        port,
        workers,
        policies={spec.name: spec.release.serving for spec in specs},
        tokens_file=tokens,
        joins={spec.name: spec.joins for spec in specs},
        signers={spec.name: spec.release.signers for spec in specs},
    )


@app.command(rich_help_panel=SERVE)
def token(
    client: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT", help="The name of the client: letters, digits, hyphens, underscores and dots."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Create a token for a client of the prediction service.

    The line for the token file goes to standard output and holds only the hash of the token.
    """
    from everfit.infra.serving.access import new_token

    secret, line = new_token(client)
    if as_json:
        print_json({"client": client, "token": secret, "line": line})
        return
    typer.echo("Give this token to the client. It is not stored and can't be shown again:", err=True)
    typer.echo(secret, err=True)
    typer.echo("Add this line to the token file (append it by `>> FILE`). A running service reads it:", err=True)
    typer.echo(line)


def _spec_to_serve(model: str, settings: Settings) -> "SpecContent":
    from everfit.tasks.core.spec_loading import file_content, load_spec

    content = file_content(model)
    if content is None:
        environment.prepare(settings)
        content = load_spec(model)
    return content
