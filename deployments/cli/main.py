"""The command `everfit`. Heavy libraries are imported by the commands that need them, so that help comes at once."""

import atexit
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli import (
    backups,
    decisions,
    diagnosing,
    history,
    incidents,
    label_queue,
    loop,
    models,
    packages,
    pages,
    quarantine,
    rehearse,
    reports,
    server,
    service,
    specs,
    start,
    status,
    suite,
    upkeep,
    verify,
)
from everfit.deployments.cli.outside_errors import describe_outside_error, without_statement
from everfit.deployments.cli.safe_streams import safe_streams
from everfit.tasks.storage.panics import show_hidden_lines

app = typer.Typer(
    help="Keep machine-learning models fit for use: train, gate, release, monitor, retrain, roll back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

# In the order of `everfit --help`.
for module in (
    start,
    rehearse,
    loop,
    diagnosing,
    label_queue,
    status,
    history,
    decisions,
    incidents,
    specs,
    verify,
    packages,
    quarantine,
    suite,
    service,
    server,
    pages,
    reports,
    upkeep,
    models,
    backups,
):
    app.add_typer(module.app)

_state = {"debug": False}


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
    """Set the options of every command."""
    _state["debug"] = debug


def main() -> None:
    """Run the command. Bad input ends with one line and exit code 2, a failed run with exit code 1."""
    with safe_streams():
        try:
            app(standalone_mode=True)
        except EverfitError as error:
            if _state["debug"]:
                raise
            print(f"everfit: {without_statement(str(error))}", file=sys.stderr)
            raise SystemExit(2) from error
        except Exception as error:  # a command always ends with one line and an exit code
            if _state["debug"]:
                raise
            text = " ".join(str(error).split())
            message = (
                describe_outside_error(error)
                or f"{type(error).__name__}: {text}; run `everfit --debug …` for the traceback"
            )
            print(f"everfit: {message}", file=sys.stderr)
            raise SystemExit(1) from error
        finally:
            show_hidden_lines()


def console() -> None:
    """Run the command as a process that exits without freeing its memory object by object.

    A turn has some 700,000 objects, most of them from libraries. Collecting them during imports and freeing them at the
    end takes two seconds for nothing. Threads are still joined, and exit handlers still run.
    """
    gc.set_threshold(50_000, 20, 50)
    sys.path.append(str(Path.cwd()))  # a spec may name functions of the folder's own modules, as with `python -m`
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
