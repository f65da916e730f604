"""The demo: two turns of the loop on the real flights of 2013, on the embedded defaults."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from everfit.blocks.settings import Settings
from everfit.deployments import environment, tables

MODEL = "flight-delays"
_TURNS = (
    (datetime(2013, 3, 1, tzinfo=UTC), "the first two months of 2013"),
    (datetime(2013, 4, 1, tzinfo=UTC), "another month of flights"),
)


def run_demo(*, fresh: bool, quiet: bool = True) -> None:
    """Prepare the flights, run the turns that have not been run yet, and show what came of them.

    Args:
        fresh: Forget what an earlier demo left, and start over.
        quiet: Whether Prefect's own log lines are left to the UI.

    Raises:
        SourceError: the demo's data is not installed.
    """
    settings = Settings()
    if fresh:
        _forget(settings)
    environment.prepare(settings, quiet=quiet)
    from everfit.deployments.demo_data import prepare

    tables.console.print("Preparing the flights of 2013 …")
    prepare(Path(".everfit/demo/flights"))

    done = _turns_done(settings)
    if len(done) < len(_TURNS):
        done = _run_turns(settings)
    else:
        tables.console.print("These turns are done already; `make demo FRESH=1` starts over.")
    tables.print_turns(done)
    _print_next_steps(settings)


def _run_turns(settings: Settings) -> list[dict[str, Any]]:
    tables.console.print("Starting Prefect's temporary server and the libraries; the first time takes longest …")
    server_is_up = environment.start_temporary_server()
    from everfit.deployments.runs import result_of
    from everfit.flows.training import training
    from everfit.tasks.records import Trigger

    server_is_up()
    for until, reason in _TURNS:
        tables.console.print(f"\nA turn of {MODEL} as of {until:%Y-%m-%d}: {reason}")
        result_of(training(MODEL, until, Trigger(reason=reason), return_state=True))
    return _turns_done(settings)


def _turns_done(settings: Settings) -> list[dict[str, Any]]:
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.turns import summary

    return [summary(turn) for turn in Ledger.open(settings).turns(MODEL) if turn.settled]


def _forget(settings: Settings) -> None:
    """Remove what the demo left; the prepared flights stay."""
    for path in settings.state_dir.glob("*"):
        if path.name == "demo":
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _print_next_steps(settings: Settings) -> None:
    tables.console.print("\nLook at what it left:")
    commands = {
        "the turns and releases": f".venv/bin/everfit history {MODEL}",
        "Prefect's UI": (
            f"PREFECT_API_DATABASE_CONNECTION_URL={environment.prefect_database(settings)} "
            ".venv/bin/prefect server start"
        ),
        "MLflow's UI": f".venv/bin/mlflow server --backend-store-uri sqlite:///{settings.state_dir / 'mlflow.db'}",
    }
    for what, command in commands.items():
        tables.console.print(f"  {what}:", style="bold")
        tables.console.print(f"    {command}", soft_wrap=True, highlight=False)
