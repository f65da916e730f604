"""The command `pages`: write the pages of all models again, or serve them."""

from typing import TYPE_CHECKING, Annotated

import typer

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.limits import known_limits
from everfit.deployments.cli.options import SERVER, AsJson
from everfit.deployments.cli.output import print_json, print_lines, wait_for_others

if TYPE_CHECKING:
    from everfit.tasks.storage.workspace import Workspace

app = typer.Typer()


@app.command(rich_help_panel=SERVER)
def pages(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL…]", help="Models. By default all.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the pages until SIGTERM, and write none.")] = False,
    host: Annotated[str, typer.Option(help="The address to serve at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to serve at; 0 for a free one.")] = 8090,
    as_json: AsJson = False,
) -> None:
    """Write the pages of models and the overview again.

    Flows write them at each look and turn. They are in the folder `pages` of the workspace and need no network.
    """
    settings = Settings()
    from everfit.tasks.storage.workspace import Workspace

    if serve:
        login = settings.pages_login
        # Not `Workspace.of`, which writes into the store: who serves the pages may be allowed to read them only.
        _serve(Workspace(settings.workspace), host, port, None if login is None else login.get_secret_value())
        return
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)
    environment.prepare_without_prefect(settings)
    from everfit.tasks.ledger.model_names import known_models
    from everfit.tasks.pages.writing import FOLDER, write_model, write_overview

    workspace, known = Workspace.of(settings), known_models(ledger)
    for name in models or ():
        if name not in known:
            raise EverfitError(f"the ledger has no model {name!r}; it has {', '.join(sorted(known)) or 'none'}")
    entries = {
        name: write_model(ledger, workspace, name, policy=known_limits(name, settings, stored=False), afresh=True)
        for name in sorted(set(models or known))
    }
    write_overview(ledger, workspace, entries, afresh=not models)
    address = workspace.file(FOLDER, "index.html")
    if as_json:
        print_json({"models": sorted(entries), "page": address})
    else:
        print_lines(*(f"  written  {name}" for name in sorted(entries)), f"Look:  {address}")


def _serve(workspace: "Workspace", host: str, port: int, login: str | None) -> None:
    import signal
    from threading import Thread

    from everfit.deployments.server.page_server import page_server

    try:
        server = page_server(workspace, host, port, login)
    except OSError as error:
        raise EverfitError(f"the pages can't be served at {host}:{port}: {error}; give another --port") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: Thread(target=server.shutdown).start())
    typer.echo(f"The pages are at http://{host}:{server.server_port}/")  # at once, also into a file
    wait_for_others()
    with server:
        server.serve_forever()
