"""The demo's printed output."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.output import console
from everfit.deployments.cli.window_view import print_evidence
from everfit.deployments.demo.data import MODEL
from everfit.deployments.demo.year import Month

_TURNS = {"Promoted": "released", "ChampionKept": "kept the champion", "NothingNew": "nothing new"}


def print_month(window: dict[str, Any]) -> None:
    """Print the result of a month."""
    print_evidence([row for row in window["evidence"] if row["area"] in {"data", "drift", "quality"}])
    console.print(f"  [bold]{window['verdict']}[/bold] ({window['rule']}): {window['reasons'][0]}", highlight=False)
    if window["turn_state"]:
        console.print(f"  the turn ended as [bold]{window['turn_state']}[/bold]")
    elif window["held_back"]:
        console.print(f"  held back: {window['held_back']}", highlight=False)


def print_year(months: Sequence[Month]) -> None:
    """Print the months as a table, and the gain over the first model."""
    table = Table()
    words = {"month", "verdict"}
    for name in ("month", "flights", "drift", "hold-out", "verdict", "champion", "AUC", "first model", "gain"):
        table.add_column(name, justify="left" if name in words else "right", no_wrap=True)
    for month in months:
        done = _TURNS.get(month.turn, month.turn)
        table.add_row(
            f"{month.since:%b}",
            f"{month.flights:,}",
            month.moved,
            month.against_holdout,
            month.verdict + (f": {done}" if done else ""),
            str(month.champion),
            f"{month.live:.4f}",
            f"{month.frozen:.4f}",
            f"{month.live - month.frozen:+.4f}",
        )
    console.print()
    console.print(table)
    console.print(
        "drift: features that moved by its end; new: columns that had not moved before under this champion.\n"
        "hold-out: AUC at its end, less the AUC expected from the champion's hold-out.\n"
        "AUC: of the month's predictions by the champion; first model: of the same flights by version 1.",
        style="dim",
    )
    gains = [month.live - month.frozen for month in months]
    turns = [month for month in months if month.turn]
    console.print(
        f"The first model, left alone: mean AUC {fmean(month.frozen for month in months):.4f}. "
        f"With everfit: {fmean(month.live for month in months):.4f} ({fmean(gains):+.4f} on average, "
        f"{max(gains):+.4f} at best), by {len(turns)} retrainings, "
        f"{sum(month.turn == 'Promoted' for month in turns)} of them released.",
        highlight=False,
    )


def print_files(pictures: tuple[Path, Path], reports: Sequence[Path], settings: Settings, seconds: float) -> None:
    """Print the files and commands to look at the results."""
    console.print(f"\nDone in {seconds:.0f} s. Look at what it left:")
    first = f" … {reports[-1].name}" if len(reports) > 1 else ""
    commands = {
        "the year as a picture": f"{pictures[0]}  {pictures[1]}",
        "Evidently's reports": f"{reports[0]}{first}" if reports else "none",
        "the turns and releases": f".venv/bin/everfit history {MODEL}",
        "Prefect's UI": (
            f"PREFECT_API_DATABASE_CONNECTION_URL={environment.prefect_database(settings)} "
            ".venv/bin/prefect server start"
        ),
        "MLflow's UI": f".venv/bin/mlflow server --backend-store-uri sqlite:///{settings.state_dir / 'mlflow.db'}",
    }
    for what, command in commands.items():
        console.print(f"  {what}:", style="bold")
        console.print(f"    {command}", soft_wrap=True, highlight=False)
