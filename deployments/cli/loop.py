"""The commands of the loop: `train`, `score`, `labels`, `monitor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli import environment, runs
from everfit.deployments.cli.options import LOOP, AsJson, Model, Reason, Until, is_debug, parse_time
from everfit.deployments.cli.output import print_json
from everfit.deployments.cli.roles import require_command_role

if TYPE_CHECKING:
    from everfit.tasks.turns.context import Context

app = typer.Typer()

SET_ASIDE = 3
"""Exit code of a command that did its work and set some rows aside."""


@app.command(rich_help_panel=LOOP)
def train(  # noqa: PLR0917 - each is an option of the command
    context: typer.Context,
    model: Model,
    until: Until = None,
    reason: Reason = "",
    replace_broken_champion: Annotated[
        bool,
        typer.Option(
            "--replace-broken-champion",
            help="Release a challenger without a comparison if the champion can't be loaded.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a challenger, and release it if it passes the gate.

    One run is one turn of the loop: read and validate new data, train candidates, evaluate the best one, decide.
    """
    turn = runs.run_turn(
        model,
        parse_time(until, "--until"),
        reason,
        replace_broken_champion=replace_broken_champion,
        quiet=not is_debug(context),
    )
    if as_json:
        print_json(turn)
    else:
        from everfit.deployments.cli.turn_tables import print_turn

        print_turn(turn)
        from everfit.blocks.settings import Settings
        from everfit.deployments.cli.next_steps import next_steps
        from everfit.tasks.registry.mlflow_client import use_tracking

        for line in next_steps(turn, model, use_tracking(Settings())):
            typer.echo(line)
    raise typer.Exit(1 if turn["state"] == "DataRejected" else 0)


@app.command(rich_help_panel=LOOP)
def score(  # noqa: PLR0917 - each is an option of the command
    context: typer.Context,
    model: Model,
    until: Until = None,
    since: Annotated[
        str | None,
        typer.Option(help="The start of the window, such as 2024-05-01. By default it is the end of the last batch."),
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Let the challenger predict too, for comparison.")] = False,
    file: Annotated[
        Path | None, typer.Option("--input", help="Predict the rows of this file in place of the source's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict a window of the source, or a file, with the champion."""
    if file is not None:
        if until or since or shadow:
            raise EverfitError("--input predicts the whole file; remove --since, --until and --shadow")
        _score_file(model, str(file), as_json=as_json)
        return
    end, begin = parse_time(until, "--until"), None if since is None else parse_time(since, "--since")

    def flow() -> Any:
        from everfit.flows.scoring_flow import scoring

        return scoring(model, begin, end, shadow, return_state=True)

    state, result = runs.run(model, end, flow, quiet=not is_debug(context), imports=environment.SCORING)
    if as_json:
        print_json({"model": model, "state": state, **result})
        _finish(result["aside"], quiet=True)
        return
    version = f" by version {result['model_version']}" if result["model_version"] is not None else ""
    span = "" if begin is None else f"from {begin:%Y-%m-%d %H:%M} and "
    events = f"events {span}before {end:%Y-%m-%d %H:%M}"
    typer.echo(f"{state}: {result['added']:,} new predictions{version}, {events}{_known(result['known'])}")
    _finish(result["aside"])


@app.command(rich_help_panel=LOOP)
def labels(
    context: typer.Context,
    model: Model,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A file with the columns of the key and the target. By default the source has the labels.",
        ),
    ] = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Collect labels and join them to their predictions.

    By default labels come from the source: those that became known since the last run.
    """
    end = parse_time(until, "--until")
    if file is not None:
        _record_label_file(model, file, end, as_json=as_json)
        return

    def flow() -> Any:
        from everfit.flows.labeling_flow import labeling

        return labeling(model, end, return_state=True)

    state, result = runs.run(model, end, flow, quiet=not is_debug(context), imports=environment.LABELING)
    recorded = result["recorded"]
    if as_json:
        print_json({"model": model, "state": state, **result})
        _finish(result["aside"], quiet=True)
        return
    typer.echo(
        f"{state}: {recorded['added']:,} new labels, {recorded['corrected']:,} corrected; {result['unmatched']:,} "
        f"labels have no prediction"
    )
    _finish(result["aside"])


@app.command(rich_help_panel=LOOP)
def monitor(context: typer.Context, model: Model, until: Until = None, as_json: AsJson = False) -> None:
    """Check data, drift and quality; retrain, roll back or notify.

    The signals of the newest window decide: a healthy model stays, a loss of quality starts a training, a bad release
    is rolled back, and a person is notified of the rest.
    """
    end = parse_time(until, "--until")

    def flow() -> Any:
        from everfit.flows.monitoring_flow import monitoring

        return monitoring(model, end, return_state=True)

    _, result = runs.run(model, end, flow, quiet=not is_debug(context), warm=lambda: runs.warm_up(model))
    if as_json:
        print_json(result)
    else:
        from everfit.deployments.cli import window_view

        window_view.print_window(result)
    raise typer.Exit(1 if result["failed"] else 0)


def _score_file(model: str, path: str, *, as_json: bool) -> None:
    context = _context(model)
    from everfit.tasks.batch.manual_files import score_file
    from everfit.tasks.monitoring.first_bounds import offer_bounds

    offer_bounds(context)
    scored = score_file(context, path)
    if as_json:
        print_json({"model": context.spec.name, **scored.model_dump(mode="json")})
    else:
        typer.echo(
            f"{path}: {scored.added:,} new predictions by version {scored.model_version}, events {scored.window}"
            f"{_known(scored.known)}"
        )
    _finish(scored.aside, quiet=as_json)


def _record_label_file(model: str, path: str, now: Any, *, as_json: bool) -> None:
    context = _context(model)
    require_command_role(context, "label")
    from everfit.tasks.batch.manual_files import record_label_file

    result = record_label_file(context, path, origin="file", now=now)
    if as_json:
        print_json({"model": context.spec.name, **result.model_dump(mode="json")})
        _finish(result.aside, quiet=True)
        return
    recorded = result.recorded
    typer.echo(
        f"{path}: {recorded.added:,} new labels, {recorded.corrected:,} corrected, {recorded.unchanged:,} already "
        f"known, {recorded.older:,} older than the known ones; {result.unmatched:,} labels have no prediction"
        + (f"; {result.unlabelled:,} rows have no label" if result.unlabelled else "")
        + (f"; {recorded.deleted:,} labels are of deleted keys" if recorded.deleted else "")
    )
    _finish(result.aside)


def _known(rows: int) -> str:
    return f"; {rows:,} rows repeat a key or were predicted before" if rows else ""


def _finish(aside: Any, *, quiet: bool = False) -> None:
    """Print the rows that were set aside, and end with their exit code if there are any."""
    from everfit.tasks.scoring.set_aside import RowsSetAside

    aside = RowsSetAside.model_validate(aside)
    if aside.count:
        if not quiet:
            typer.echo(aside.describe())
        raise typer.Exit(SET_ASIDE)


def _context(model: str) -> "Context":
    from everfit.blocks.settings import Settings

    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    return Context(load_spec(model), settings)
