"""Commands for who decides and who is on call: approve, reject, rollback, reconcile, explain.

They ask registry and ledger alone, so that a champion can be gone back from while Prefect is down; a Prefect server
that is configured hears of what was done.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment

if TYPE_CHECKING:
    from everfit.tasks.release.approval import Answer
    from everfit.tasks.turns.context import Context

app = typer.Typer()

Model = Annotated[str, typer.Argument(help="A spec file, a spec's name in `deployments/models`, or a block's name.")]
TurnId = Annotated[str, typer.Argument(help="The turn's id, as `everfit history MODEL` shows it.")]
By = Annotated[str, typer.Option(help="Who decides.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")]


@app.command()
def approve(model: Model, turn: TurnId, by: By, why: Why, as_json: AsJson = False) -> None:
    """Release the challenger of a turn that waits for approval."""
    _decide(model, turn, "approve", by, why, as_json=as_json)


@app.command()
def reject(model: Model, turn: TurnId, by: By, why: Why, as_json: AsJson = False) -> None:
    """Keep the champion: the challenger of a turn that waits for approval is not released."""
    _decide(model, turn, "reject", by, why, as_json=as_json)


@app.command()
def rollback(
    model: Model,
    why: Why,
    to: Annotated[int | None, typer.Option(help="The version; by default the champion before this one.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides; by default the user of this machine.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a former version the champion again, once it has been seen to load and answer."""
    context, heard = without_prefect(model)
    from everfit.tasks.core.events import RELEASE_ROLLED_BACK, emit
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.release import approvals
    from everfit.tasks.release import release as releasing
    from everfit.tasks.release.approval import check_told

    name = context.spec.name
    actor, reason = check_told(by or user_name(), why)
    entry = releasing.rollback(
        context.ledger, context.mlflow, name, to=to, reason=reason, actor=actor, policy=context.spec.release
    )
    if heard:
        emit(RELEASE_ROLLED_BACK, name, release=entry)
    ended = approvals.reconcile(context, datetime.now(UTC))  # what was compared with the other champion waits no more
    if as_json:
        _print_json(entry.model_dump(mode="json") | {"done": ended})
        return
    before = f" in place of version {entry.previous_version}" if entry.previous_version is not None else ""
    _say(
        f"Version {entry.version} is the champion of {name} again{before} (release {entry.seq}): {entry.reason}", *ended
    )


@app.command()
def reconcile(model: Model, as_json: AsJson = False) -> None:
    """Put right what a crash has left, record a champion set by hand, and end what waits no more."""
    context, _ = without_prefect(model)
    from everfit.tasks.release import approvals

    done = approvals.reconcile(context, datetime.now(UTC))
    if as_json:
        _print_json({"model": context.spec.name, "done": done})
    else:
        _say(*(done or [f"{context.spec.name}: ledger and registry agree; nothing to do"]))


@app.command()
def explain(turn: TurnId, as_json: AsJson = False) -> None:
    """Show one turn's decision with all its evidence."""
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)  # first of all: who only reads makes no folder either
    environment.prepare(settings)
    from everfit.tasks.turns.explanation import explain as story_of

    story = story_of(ledger.story(turn))
    if as_json:
        _print_json(story)
        return
    from everfit.deployments.cli.explained import print_story

    print_story(story)


def _decide(model: str, turn_id: str, said: "Answer", by: str, why: str, *, as_json: bool) -> None:
    context, heard = without_prefect(model)
    from everfit.tasks.release import approvals
    from everfit.tasks.steps.approval import tell
    from everfit.tasks.turns import turn_record

    turn = approvals.decide(context, turn_id, said, by=by, why=why, now=datetime.now(UTC))
    if heard:
        tell(context, turn)
    if as_json:
        _print_json(turn_record.summary(turn))
        return
    from everfit.deployments.cli import tables

    tables.print_turn(turn_record.summary(turn))


def without_prefect(model: str) -> "tuple[Context, bool]":
    """What a command works with that must do its work while Prefect is down too.

    Args:
        model: As the commands take it.

    Returns:
        The model, and whether there is a Prefect server to be told of what is done.
    """
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.registry import mlflow_client
    from everfit.tasks.turns.context import Context

    mlflow_client.use_tracking(settings)
    heard = environment.server_hears()
    return Context(load_spec(model, stored=heard or not environment.has_server()), settings), heard


def _say(*lines: str) -> None:
    from everfit.deployments.cli.tables import console

    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_json(content: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(content, default=str, allow_nan=False))
