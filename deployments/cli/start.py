"""The commands to start with: `init`, `new` and `demo`."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from everfit.deployments.cli.options import START, AsJson, is_debug
from everfit.deployments.cli.output import print_json, reporting_wait, wait_for_others

if TYPE_CHECKING:
    from everfit.deployments.init.times import TimeChoice

app = typer.Typer()

_LISTED = 40
_NO_KEY = "none: the whole row identifies itself; labels find predictions by event time and features"


@app.command(rich_help_panel=START)
def init(  # noqa: PLR0917 - each is an option of the command
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A file, folder or glob; s3:// or https://; delta:PATH; module:function; URL#table or env:NAME#table.",
        ),
    ],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    event_time: Annotated[str | None, typer.Option(help="The column with the time of the event to predict.")] = None,
    label_time: Annotated[
        str | None, typer.Option(help="The column with the time at which the label became known.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="A column of the key, which identifies a row. Repeat it for more columns.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name of the model. By default it follows from DATA.")] = None,
    task: Annotated[
        Literal["binary", "multiclass", "regression"] | None,
        typer.Option(help="The task. By default it follows from the target."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of text files that are not UTF-8, such as latin-1.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="The separator of CSV values, if the header doesn't show it.")
    ] = None,
    file_format: Annotated[
        Literal["csv", "parquet", "jsonl"] | None,
        typer.Option("--format", help="The format of the files. By default it follows from their names."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The spec file to write. By default it is NAME.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing spec file.")] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Ask nothing: of several columns that may be the event time, take the likeliest."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented spec for a model from a look at its data."""
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare_without_prefect(Settings())
    with ExitStack() as waiting:
        waiting.enter_context(reporting_wait("looking at the data"))
        from everfit.deployments.init.init import init as make_spec

        def ask(choices: "Sequence[TimeChoice]") -> str:
            waiting.close()
            wait_for_others()  # a person may take their time
            return _ask_for_event_time(choices)

        proposal = make_spec(
            data,
            target,
            event_time=event_time,
            label_time=label_time,
            key=tuple(key or ()),
            name=name,
            task=task,
            output=output,
            force=force,
            file_options={"format": file_format, "delimiter": delimiter, "encoding": encoding},
            choose=None if yes or as_json or not sys.stdin.isatty() else ask,
        )
    if as_json:
        print_json(proposal)
    else:
        _print_proposal(proposal, target)


def _ask_for_event_time(choices: "Sequence[TimeChoice]") -> str:
    """Show the columns that may be the event time, and ask for one."""
    typer.echo("More than one column may be the time of the event, at which a prediction is made:")
    for number, choice in enumerate(choices, start=1):
        typer.echo(f"  {number}  {choice}")
    number = 0
    while not 1 <= number <= len(choices):
        number = typer.prompt(f"Which one is it, 1 to {len(choices)}?", type=int, default=1)
    return choices[number - 1].column


def _listed(columns: Sequence[str]) -> str:
    """Return the names; of many, the first ones and the last, and how many there are."""
    if len(columns) <= _LISTED:
        return ", ".join(columns)
    return f"{len(columns):,} columns: {', '.join(columns[: _LISTED - 1])}, ..., {columns[-1]}"


def _print_proposal(proposal: dict[str, Any], target: str) -> None:
    path = Path(proposal["path"])
    typer.echo(f"Wrote {path}: a {proposal['task']} model of {target!r} from {proposal['rows']:,} rows")
    typer.echo(f"  key          {', '.join(proposal['key']) or _NO_KEY}")
    signs = f": {'; '.join(proposal['event_time_signs'])}" if proposal["event_time_signs"] else ""
    typer.echo(f"  event time   {proposal['event_time'] or 'none: the time of ingestion counts'}{signs}")
    if proposal["label_time"]:
        typer.echo(f"  label time   {proposal['label_time']}: 99 % of labels are known within {proposal['maturity']}")
    typer.echo(f"  features     {_listed(proposal['features'])}")
    for column, reason in proposal["doubtful"].items():
        typer.echo(f"  check        {column}: {reason}")
    for column, reason in proposal["ignored"].items():
        typer.echo(f"  ignored      {column}: {reason}")
    for note in proposal["notes"]:
        typer.echo(f"  note         {note}")
    typer.echo(f"Next: read {path}, then run everfit train {path}")
    if proposal["event_time"]:
        typer.echo(f"To see what retraining would have brought in the past, run everfit rehearse {path}")
    if path != (deployed := Path("deployments/models", f"{proposal['model']}.yaml")):
        typer.echo(f"To deploy it with everfit up or everfit bootstrap, move the file to {deployed}")


@app.command(rich_help_panel=START)
def new(
    folder: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="A new folder; its name becomes that of the project.")
    ],
) -> None:
    """Write the repository of a team: specs, own code, tests, CI.

    It has an example of each: a spec, a source, a metric and a flow of the team's own, tests, a workflow for CI, and
    the deployments on a Prefect server.
    """
    from everfit.deployments.new.new import new_project

    written = new_project(folder)
    typer.echo(f"Wrote {folder}:")
    for path in written:
        typer.echo(f"  {path}")
    typer.echo(f"Next: cd {folder}, and read README.md")


@app.command(rich_help_panel=START)
def demo(
    context: typer.Context,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the results of an earlier demo and start over.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Run three months instead of ten.")] = False,
) -> None:
    """Replay the flights of 2013 month by month on this machine."""
    from everfit.deployments.demo.demo import run_demo

    run_demo(fresh=fresh, quick=quick, quiet=not is_debug(context))
