"""Commands about data: `init`, `expectations`, `quarantine`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer()

Model = Annotated[str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


@app.command()
def init(  # noqa: PLR0917 - each is an option of the command
    data: Annotated[
        str,
        typer.Argument(
            help="A file, folder or glob; s3:// or https://; delta:PATH; module:function; URL#table or env:NAME#table."
        ),
    ],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    event_time: Annotated[str | None, typer.Option(help="When the thing to predict happens.")] = None,
    label_time: Annotated[str | None, typer.Option(help="When the true label became known.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="A column that, with others so given, names a row.")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; by default the data's.")] = None,
    task: Annotated[
        Literal["binary", "multiclass", "regression"] | None, typer.Option(help="By default told from the target.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of text that is not UTF-8, such as latin-1.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between the values, where the header doesn't show it.")] = None,
    written_as: Annotated[
        Literal["csv", "parquet", "jsonl"] | None, typer.Option("--format", help="By default told from the name.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The spec file; by default NAME.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a spec file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at data and write a commented spec for a model of it."""
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare_without_prefect(Settings())
    from everfit.deployments.init.init import init as make

    made = make(
        data,
        target,
        event_time=event_time,
        label_time=label_time,
        key=tuple(key or ()),
        name=name,
        task=task,
        output=output,
        force=force,
        written={"format": written_as, "delimiter": delimiter, "encoding": encoding},
    )
    if as_json:
        _print_json(made)
        return
    typer.echo(f"Wrote {made['path']}: a {made['task']} model of {target!r} from {made['rows']:,} rows")
    typer.echo(f"  key          {', '.join(made['key']) or 'none: the whole row names itself'}")
    typer.echo(f"  event time   {made['event_time'] or 'none: rows count from when they are taken in'}")
    if made["label_time"]:
        typer.echo(f"  label time   {made['label_time']}: 99 % of the labels are known within {made['maturity']}")
    typer.echo(f"  features     {', '.join(made['features'])}")
    for column, why in made["ignored"].items():
        typer.echo(f"  left out     {column}: {why}")
    for note in made["notes"]:
        typer.echo(f"  note         {note}")
    typer.echo(f"Next: everfit train {made['path']}")
    if Path(made["path"]) != (kept := Path("deployments/models", f"{made['model']}.yaml")):
        typer.echo(f"For everfit up and everfit bootstrap, which read the specs of that folder: move it to {kept}")


def _print_json(content: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(content, default=str, allow_nan=False))


@app.command()
def quarantine(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    give: Annotated[bool, typer.Option("--release", help="Take those of the chosen rows that are good now.")] = False,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard",
            help="Settle the chosen rows as never to be used; without --reason and --turn all that lie open.",
        ),
    ] = False,
    reason: Annotated[str, typer.Option(help="Only rows whose reasons contain this.")] = "",
    turn: Annotated[str | None, typer.Option(help="Only rows that this turn has quarantined.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what lies in a model's quarantine, by reason with samples; release it once it is good, or discard it."""
    from everfit.blocks.errors import EverfitError
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment
    from everfit.deployments.cli.quarantine_tables import discard_rows, list_rows, release

    if give and discard:
        raise EverfitError("--release and --discard exclude each other; choose one")
    environment.prepare(Settings())
    if give:
        found = release(model, reason, turn)
    else:
        found = discard_rows(model, reason, turn) if discard else list_rows(model, reason, turn)
    if as_json:
        _print_json(found)
    elif give:
        typer.echo(f"{found['released']:,} of {found['rows']:,} rows released, {found['still_bad']:,} still bad")
        for told in found["reasons"]:
            typer.echo(f"  {told}")
    elif discard:
        typer.echo(f"{found['discarded']:,} rows of {found['model']} discarded; the ledger says by whom and which")
    else:
        for pile in found["piles"]:
            typer.echo(f"{pile['rows']:>9,}  {pile['reason']}")
            for sample in pile["samples"]:
                typer.echo(f"           {sample}")
        typer.echo(f"{found['rows']:,} rows lie open in the quarantine of {found['model']}")


@app.command()
def expectations(
    model: Model,
    write: Annotated[bool, typer.Option("--write", help="Keep what is proposed as the model's suite.")] = False,
    until: Annotated[
        str | None, typer.Option(help="Propose from the rows before this moment, such as 2024-06-01; by default all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose expectations from the dataset, and show what changes against the present ones."""
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment
    from everfit.deployments.cli.quarantine_tables import propose_suite

    environment.prepare(Settings())
    found = propose_suite(model, until, write=write)
    if as_json:
        _print_json(found)
        return
    for line in found["difference"]:
        typer.echo(line)
    typer.echo(f"{len(found['proposed'])} expectations proposed, {len(found['present'])} present")
    if found["written"]:
        typer.echo(f"Written to {found['path']}")
    elif found["in_spec"]:
        typer.echo("Nothing was changed; the spec itself has the suite, under expectations.suite")
    else:
        typer.echo(f"Nothing was changed; --write keeps the proposal, and {found['path']} can be edited by hand")
