"""Commands of the loop's way back: `score`, `labels`, `monitor`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli import serving

app = typer.Typer()

Model = Annotated[str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]
Until = Annotated[
    str | None,
    typer.Option(
        help="Use only what was known at this moment, such as 2024-06-01 or 2024-06-01T06:00:00Z (UTC without a zone); "
        "by default now."
    ),
]


@app.command()
def score(  # noqa: PLR0917 - each is an option of the command
    context: typer.Context,
    model: Model,
    until: Until = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Beginning of the window, such as 2024-05-01; by default where the last batches have come to."
        ),
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Let the challenger predict beside the champion.")] = False,
    given: Annotated[
        str | None, typer.Option("--input", help="Predict on this file's rows, and not on the source's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict on a window of the source, or on a file, with the champion, into the prediction log."""
    if given is not None:
        if until or since or shadow:
            raise EverfitError("--input takes a file as it is; leave out --since, --until and --shadow")
        serving.print_scored_file(model, given, as_json=as_json)
        return
    end, begin = moment(until, "--until"), None if since is None else moment(since, "--since")

    def flow() -> Any:
        from everfit.flows.scoring_flow import scoring

        return scoring(model, begin, end, shadow, return_state=True)

    name, found = run(model, end, flow, quiet=not is_debug(context))
    _print(
        as_json,
        {"model": model, "state": name, **found},
        f"{name}: {found['added']:,} predictions of version {found['model_version']} up to {end:%Y-%m-%d %H:%M}",
    )


@app.command()
def labels(
    context: typer.Context,
    model: Model,
    file: Annotated[
        str | None,
        typer.Argument(help="A file with the key's columns and the target; by default labels come from the source."),
    ] = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Take from the source, or from a file, what has come true, so that it finds its predictions."""
    if file is not None:
        serving.print_label_file(model, file, moment(until, "--until"), as_json=as_json)
        return
    end = moment(until, "--until")

    def flow() -> Any:
        from everfit.flows.labeling_flow import labeling

        return labeling(model, end, return_state=True)

    name, found = run(model, end, flow, quiet=not is_debug(context))
    told = found["recorded"]
    _print(
        as_json,
        {"model": model, "state": name, **found},
        f"{name}: {told['added']:,} new labels, {told['corrected']:,} corrected; {found['unmatched']:,} of rows that "
        f"were never predicted",
    )


@app.command()
def monitor(context: typer.Context, model: Model, until: Until = None, as_json: AsJson = False) -> None:
    """Look at what was predicted and what came true, decide what it means, and act on it."""
    end = moment(until, "--until")

    def flow() -> Any:
        from everfit.flows.monitoring_flow import monitoring

        return monitoring(model, end, return_state=True)

    _, found = run(model, end, flow, quiet=not is_debug(context), warm=lambda: warm_up(model))
    if as_json:
        print(json.dumps(found, default=str, allow_nan=False))
    else:
        from everfit.deployments.cli import monitoring_tables

        monitoring_tables.print_window(found)
    raise typer.Exit(1 if found["failed"] else 0)


def run(
    model: str,
    until: datetime,
    flow: Callable[[], Any],
    *,
    quiet: bool,
    warm: Callable[[], object] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Run a flow in this process, with Prefect's temporary server where no other is configured.

    Args:
        model: A spec file, the name of a spec, or of a block.
        until: What is known at this moment.
        flow: Runs it.
        quiet: Whether Prefect's own log lines are left to the UI.
        warm: What can be imported while the server starts.

    Returns:
        The name of the final state, and what it holds.

    Raises:
        EverfitError: the input is bad; nothing was changed.
    """
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare(Settings(), quiet=quiet)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.turn_record import check_until

    check_until(until)
    load_spec(model)  # a mistake in the spec is told before a server is started
    server_is_up = environment.start_temporary_server()
    from everfit.deployments.cli.runs import result_of

    if warm is not None:
        warm()
    server_is_up()
    state = flow()
    return str(state.name), result_of(state)


def warm_up(model: str) -> None:
    """Start the process that draws reports, where the model wants them, and import what a monitoring run needs."""
    from everfit.tasks.core.spec_loading import file_content
    from everfit.tasks.monitoring.report import report_process

    told = file_content(model)  # the server that may have a stored spec is only starting
    if told is None or told.monitoring.report != "never":
        report_process.warm_up()
    import mlflow.sklearn

    from everfit.flows import monitoring

    del mlflow, monitoring


def moment(text: str | None, option: str) -> datetime:
    """A time from the command line; without a zone it is UTC.

    Raises:
        EverfitError: it is no time.
    """
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise EverfitError(
            f"{option} {text!r} is not a time; write it like 2013-03-01 or 2013-03-01T06:00:00Z"
        ) from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def is_debug(context: typer.Context) -> bool:
    """Whether tracebacks and Prefect's own lines are asked for."""
    parent = context.parent
    return bool(parent and parent.params.get("debug"))


def _print(as_json: bool, content: dict[str, Any], words: str) -> None:
    print(json.dumps(content, default=str, allow_nan=False) if as_json else words)
