"""Commands that take away: `upkeep`, `forget`."""

import json
from typing import Annotated, Any

import typer

from everfit.deployments.cli.monitoring import is_debug, moment, run

app = typer.Typer()

Model = Annotated[str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


@app.command()
def upkeep(
    context: typer.Context,
    model: Model,
    until: Annotated[
        str | None, typer.Option(help="Count ages back from this moment, such as 2024-06-01; by default from now.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what is older than the spec keeps, put small files together, and drop model versions nobody needs."""
    end = moment(until, "--until")

    def flow() -> Any:
        from everfit.flows.upkeep_flow import upkeep as tidy

        return tidy(model, end, dry_run, return_state=True)

    name, found = run(model, end, flow, quiet=not is_debug(context))
    if as_json:
        typer.echo(json.dumps(found, default=str, allow_nan=False))
        return
    from everfit.tasks.retention.upkeep_record import UpkeepDone

    done = UpkeepDone.recall(found)
    typer.echo(f"{name}: {done.model}, as of {done.at:%Y-%m-%d %H:%M}" + (", nothing was changed" if dry_run else ""))
    for told in done.told():
        typer.echo(f"  {told}")
    if done.broken_turns:
        typer.echo(f"  turns that can't be reproduced any more: {', '.join(done.broken_turns)}")


@app.command()
def forget(
    model: Model,
    key: Annotated[
        list[str], typer.Option(help="COLUMN=VALUE, once for each column of the key; of one column the value will do.")
    ],
    as_json: AsJson = False,
) -> None:
    """Remove all rows of a key from tables, past states, staging and references, and put that on record."""
    from datetime import UTC, datetime

    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare(Settings())
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.retention.forgetting import forget_key
    from everfit.tasks.turns.context import Context

    done = forget_key(Context(load_spec(model), Settings()), key, datetime.now(UTC), user_name())
    if as_json:
        typer.echo(done.model_dump_json())
        return
    for table, count in done.rows.items():
        typer.echo(f"{table:<12} {count:>7,} rows removed")
    typer.echo(f"{'staged':<12} {done.staged:>7,} rows removed")
    typer.echo(f"{'references':<12} {done.references:>7,} rows removed")
    typer.echo(f"{'past states':<12} {done.past_files:>7,} files removed")
    if done.ended:
        typer.echo(f"can't be reproduced any more: {', '.join(done.ended)}")
    typer.echo("It is on record. Remove the rows from the source too, or a later turn takes them in again.")
