"""All commands of `everfit`. Heavy libraries are imported by those that need them, so that help comes at once."""

from typing import Annotated

import typer

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

state = {"debug": False}
"""The options that hold for every command."""


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
    state["debug"] = debug
