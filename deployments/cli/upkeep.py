"""The commands that delete: `upkeep`, `forget`."""

from typing import Annotated, Any

import typer

from everfit.deployments.cli import environment, runs
from everfit.deployments.cli.options import UPKEEP, AsJson, DryRun, Model, is_debug, parse_time
from everfit.deployments.cli.output import print_json

app = typer.Typer()


@app.command(rich_help_panel=UPKEEP)
def upkeep(
    context: typer.Context,
    model: Model,
    until: Annotated[
        str | None, typer.Option(help="Count ages back from this time, such as 2024-06-01. By default it is now.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete expired rows and versions, and compact the tables."""
    end = parse_time(until, "--until")

    def flow() -> Any:
        from everfit.flows.upkeep_flow import upkeep as upkeep_flow

        return upkeep_flow(model, end, dry_run, return_state=True)

    state, result = runs.run(model, end, flow, quiet=not is_debug(context), imports=environment.LABELING)
    if as_json:
        print_json(result)
        return
    from everfit.tasks.retention.upkeep_record import UpkeepResult

    done = UpkeepResult.recall(result)
    dry = " (dry run, nothing was changed)" if dry_run else ""
    typer.echo(f"{state}: {done.model}, as of {done.at:%Y-%m-%d %H:%M}{dry}")
    for line in done.summary():
        typer.echo(f"  {line}")
    if done.broken_turns:
        typer.echo(f"  turns that can no longer be reproduced: {', '.join(done.broken_turns)}")


@app.command(rich_help_panel=UPKEEP)
def forget(
    model: Model,
    key: Annotated[
        list[str],
        typer.Option(help="COLUMN=VALUE, once per column of the key. A key of one column needs only the value."),
    ],
    undo: Annotated[
        bool, typer.Option("--undo", help="Let rows of the key come in again. Deleted rows stay deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete all rows of a key, and leave them out from now on.

    The deletion is recorded in the ledger, without the rows.
    """
    from datetime import UTC, datetime

    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    environment.prepare(Settings())
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.retention.key_deletion import allow_key_again, delete_key
    from everfit.tasks.turns.context import Context
    from everfit.tasks.turns.entitlement import require_role

    context, now = Context(load_spec(model), Settings()), datetime.now(UTC)
    person = acting_person(context.settings, user_name())
    require_role(context, "forget", person, now)
    if undo:
        allowed = allow_key_again(context, key, now, person.signed)
        if as_json:
            print_json({"model": context.spec.name, "allowed": allowed})
        else:
            typer.echo("Rows of the key come in again." if allowed else "No deletion of this key was in force.")
        return
    done = delete_key(context, key, now, person.signed)
    if as_json:
        typer.echo(done.model_dump_json())
        return
    for table, count in done.rows.items():
        typer.echo(f"{table:<12} {count:>7,} rows deleted")
    typer.echo(f"{'staging':<12} {done.staged:>7,} rows deleted")
    typer.echo(f"{'references':<12} {done.references:>7,} rows deleted")
    typer.echo(f"{'old versions':<12} {done.past_files:>7,} files deleted")
    if done.examples:
        typer.echo(f"{'examples':<12} {done.examples:>7,} model versions have made-up values now")
    if done.validations:
        typer.echo(f"{'validations':<12} {done.validations:>7,} turns show no examples of values any more")
    for problem in done.examples_left:
        typer.echo(f"the input example could not be replaced; run this again, or delete the file: {problem}", err=True)
    if done.ended:
        typer.echo(f"turns that can no longer be reproduced: {', '.join(done.ended)}")
    if not done.found_any:
        typer.echo(f"No row has the key {', '.join(key)}, which the record says too; check how it is written")
        return
    typer.echo("The deletion is on record, and everfit leaves rows of this key out from now on (--undo ends that).")
