"""The commands of a turn's package: `reproduce`, `export`, `import`."""

from pathlib import Path
from typing import Annotated

import typer

from everfit.deployments.cli.options import DECIDE, AsJson, TurnId

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def reproduce(turn: TurnId, as_json: AsJson = False) -> None:
    """Train the model of a turn again and compare the results."""
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare(Settings())
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.reproduction import NotReproducibleError
    from everfit.tasks.turns.reproduction import reproduce as reproduce_turn

    try:
        comparison = reproduce_turn(Workspace.of(Settings()), _model_of(turn), turn)
    except NotReproducibleError as error:
        raise NotReproducibleError(f"{error}{_deleted_by(turn)}") from error
    if as_json:
        typer.echo(comparison.model_dump_json())
    else:
        for name in ("data", "parameters", "metrics", "predictions"):
            typer.echo(f"  {name:<12} {getattr(comparison, name)}")
        for difference in comparison.differences:
            typer.echo(f"    {difference}")
        for name, versions in comparison.versions.items():
            typer.echo(f"  {name} is {versions}")
    raise typer.Exit(0 if comparison.identical else 1)


@app.command(rich_help_panel=DECIDE)
def export(turn: TurnId, folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")]) -> None:
    """Copy a turn's files, models and later history to a folder.

    `history.json` has the decisions and the approval, the releases, what replaced them, the looks and the incidents.
    """
    from everfit.blocks.settings import Settings
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.later_history import later_history
    from everfit.tasks.turns.package import export_package

    # The ledger of an imported turn stayed in the other workspace.
    known = Ledger.schema_of(Settings()) != "none" and Ledger.open(Settings()).turns.find(turn) is not None
    history = later_history(Ledger.open(Settings()), turn) if known else None
    names = export_package(Workspace.of(Settings()), _model_of(turn), turn, folder, history)
    typer.echo(f"Exported {turn} to {folder}: {', '.join(names)}")


@app.command(name="import", rich_help_panel=DECIDE)
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `everfit export` has written.")],
) -> None:
    """Import an exported turn, so that it can be reproduced here."""
    from everfit.blocks.settings import Settings
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.package import import_package

    model, turn = import_package(Workspace.of(Settings()), folder)
    typer.echo(f"Imported {turn} of {model}; `everfit reproduce {turn}` trains it again if the dataset is here")


def _deleted_by(turn: str) -> str:
    """Return the command that deleted rows of a turn, if the ledger has it."""
    from everfit.blocks.settings import Settings
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.retention.upkeep_record import ended_by

    if Ledger.schema_of(Settings()) == "none":  # the ledger of an imported turn stayed in the other workspace
        return ""
    decision = ended_by(Ledger.open(Settings()), _model_of(turn), turn)
    if decision is None:
        return ""
    return f" by `everfit {decision.kind}` of {decision.at:%Y-%m-%d %H:%M} UTC: {decision.reasons[0]}"


def _model_of(turn: str) -> str:
    """Return the model's name, which is the beginning of a turn's id."""
    from everfit.blocks.errors import WorkspaceError

    name, _, rest = turn.rpartition("-")[0].rpartition("-")
    if not name or not rest:
        raise WorkspaceError(f"{turn!r} is not the id of a turn; `everfit history MODEL` lists the turns")
    return name
