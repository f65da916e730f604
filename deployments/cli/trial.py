"""The command `trial`: look at the challenger that is on trial, or take it back.

It asks registry, ledger and tables alone, as `rollback` does, so that a trial can be ended while Prefect is down.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli.monitoring import Until, moment
from everfit.deployments.cli.release import without_prefect

app = typer.Typer()


@app.command()
def trial(  # noqa: PLR0917 - each is an option of the command
    model: Annotated[
        str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")
    ],
    until: Until = None,
    stop: Annotated[bool, typer.Option("--stop", help="Take the challenger back, whatever it has shown.")] = False,
    by: Annotated[str, typer.Option(help="Who stops it.")] = "",
    why: Annotated[str, typer.Option(help="Why it is stopped, for the history.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")] = False,
) -> None:
    """Take a look now at the challenger on trial, and let it go on, release it, or take it back."""
    if (until is not None) if stop else (by or why):
        raise EverfitError("--stop takes --by and --why and no --until; without it leave out --by and --why")
    at = moment(until, "--until")
    context, heard = without_prefect(model)
    from everfit.tasks.batch.label_collection import collect_labels, label_window
    from everfit.tasks.release import approvals
    from everfit.tasks.release.traffic import trials
    from everfit.tasks.steps.trial import tell
    from everfit.tasks.turns.turn_record import check_until

    approvals.reconcile(context, datetime.now(UTC))
    if stop:
        found: trials.TrialResult | None = trials.stop(context, by, why)
    else:
        check_until(at)
        collect_labels(context, label_window(context, at))
        found = trials.look_at(context, at)
    if found is not None and heard:
        tell(context, found)
    told = {"model": context.spec.name, "state": "NoTrial"} if found is None else trials.summary(found)
    if as_json:
        typer.echo(json.dumps(told, default=str, allow_nan=False))
    else:
        _print(told)


def _print(told: dict[str, Any]) -> None:
    if told["state"] == "NoTrial":
        typer.echo(f"No version of {told['model']} is on trial; `everfit history` shows how the last trial ended.")
        return
    where = f"version {told['challenger']} against {told['champion']}, {told['strategy']}"
    share = f", step {told['step']} of {told['steps']}, {100 * told['share']:g} % of the keys" if told["share"] else ""
    typer.echo(f"{told['state']}: {where}{share}")
    for reason in told["reasons"]:
        typer.echo(f"  {reason}")
    for number, step in enumerate((told["evidence"] or {}).get("steps", []), start=1):
        rows = f"{step['challenger_rows']:,} answers of the challenger, {step['champion_rows']:,} of the champion"
        typer.echo(f"  step {number}, {100 * step['share']:g} %: {rows}, {step['labels']:,} mature labels")
