"""The command `everfit`. Heavy libraries are imported by the commands that need them, so that help comes at once."""

import atexit
import gc
import logging
import os
import signal
import sys
from typing import Annotated, Any

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli import data, labelling, monitoring, release, reproduce, server, serving, trial, upkeep

app = typer.Typer(
    help="Keep machine-learning models fit for use: train, gate, release, watch, retrain, roll back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.add_typer(data.app)
app.add_typer(labelling.app)
app.add_typer(monitoring.app)
app.add_typer(reproduce.app)
app.add_typer(server.app)
app.add_typer(serving.app)
app.add_typer(trial.app)
app.add_typer(upkeep.app)

Model = Annotated[str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        import everfit

        print(f"everfit {everfit.__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and Prefect's own log lines.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has printed it
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every command."""
    _state["debug"] = debug


_state = {"debug": False}


@app.command()
def train(
    model: Model,
    until: monitoring.Until = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run one turn of the loop: train a challenger, and release it if it is shown to be better."""
    from everfit.deployments.cli import runs

    turn = runs.train(model, monitoring.moment(until, "--until"), reason, quiet=not _state["debug"])
    if as_json:
        _print_json(turn)
    else:
        from everfit.deployments.cli import tables

        tables.print_turn(turn)
    raise typer.Exit(1 if turn["state"] == "DataRejected" else 0)


@app.command()
def history(model: Model, as_json: AsJson = False) -> None:
    """Show a model's turns and releases, each with its reasons."""
    from everfit.deployments.cli import runs, tables

    found = runs.history(model)
    if as_json:
        _print_json(found)
    else:
        tables.print_history(found)


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier demo left, and start over.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Three months instead of the year.")] = False,
) -> None:
    """Live through the flights of 2013 month by month, with nothing but this machine."""
    from everfit.deployments.demo.demo import run_demo

    run_demo(fresh=fresh, quick=quick, quiet=not _state["debug"])


app.add_typer(release.app)


def _print_json(content: dict[str, Any]) -> None:
    import json

    print(json.dumps(content, default=str, allow_nan=False))


def main() -> None:
    """Run the command: bad input ends with one line and exit code 2, a failed run with 1."""
    try:
        app(standalone_mode=True)
    except EverfitError as error:
        if _state["debug"]:
            raise
        print(f"everfit: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except Exception as error:  # whatever failed, and nothing goes on: a command ends with a sentence and a code
        if _state["debug"]:
            raise
        print(f"everfit: {type(error).__name__}: {error}; --debug shows where", file=sys.stderr)
        raise SystemExit(1) from error


def console() -> None:
    """Run the command as a process of its own, which ends without taking its memory apart piece by piece.

    A turn has some 700,000 objects, most of them the libraries' own: collecting them again and again while they are
    imported, and one by one at the end, takes two seconds that nobody gets anything for. Threads are waited for, and
    exit handlers run, as ever.
    """
    gc.set_threshold(50_000, 20, 50)
    code = 1
    atexit.register(lambda: _leave(code))  # registered first, so it runs last
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
        raise


def _leave(code: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    console()
