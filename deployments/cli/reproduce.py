"""Commands about a turn's package: `reproduce`, `export`, `import`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

TurnId = Annotated[str, typer.Argument(metavar="TURN", help="A turn's id, as `everfit history` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


@app.command()
def reproduce(turn: TurnId, as_json: AsJson = False) -> None:
    """Train a turn's model again and tell whether data, parameters, metrics and predictions are the same."""
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare(Settings())
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.reproduction import NotReproducibleError
    from everfit.tasks.turns.reproduction import reproduce as again

    try:
        found = again(Workspace.of(Settings()), _model_of(turn), turn)
    except NotReproducibleError as error:
        raise NotReproducibleError(f"{error}{_ended_by(turn)}") from error
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        for name in ("data", "parameters", "metrics", "predictions"):
            typer.echo(f"  {name:<12} {getattr(found, name)}")
        for difference in found.differences:
            typer.echo(f"    {difference}")
        for name, versions in found.versions.items():
            typer.echo(f"  {name} is {versions}")
    raise typer.Exit(0 if found.identical else 1)


@app.command()
def export(turn: TurnId, folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """Copy all that a turn left, its models included, into a folder."""
    from everfit.blocks.settings import Settings
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.package import export_package

    names = export_package(Workspace.of(Settings()), _model_of(turn), turn, folder)
    typer.echo(f"{folder}: {', '.join(names)}")


@app.command(name="import")
def import_(folder: Annotated[Path, typer.Argument(help="A folder that `everfit export` wrote.")]) -> None:
    """Put an exported turn into this workspace, where it can be reproduced."""
    from everfit.blocks.settings import Settings
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.package import import_package

    model, turn = import_package(Workspace.of(Settings()), folder)
    typer.echo(f"{turn} of {model}; `everfit reproduce {turn}` makes it again where the dataset is there")


def _ended_by(turn: str) -> str:
    """What has ended it that a turn can be reproduced, as far as the ledger knows."""
    from everfit.blocks.settings import Settings
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.retention.upkeep_record import ended_by

    if Ledger.schema_of(Settings()) == "none":  # a turn that was imported has left its ledger where it was run
        return ""
    found = ended_by(Ledger.open(Settings()), _model_of(turn), turn)
    return "" if found is None else f" by `everfit {found.kind}` of {found.at:%Y-%m-%d %H:%M} UTC: {found.reasons[0]}"


def _model_of(turn: str) -> str:
    """The model's name, which a turn's id begins with."""
    from everfit.blocks.errors import WorkspaceError

    name, _, rest = turn.rpartition("-")[0].rpartition("-")
    if not name or not rest:
        raise WorkspaceError(f"{turn!r} is no turn's id; `everfit history MODEL` lists the turns")
    return name
