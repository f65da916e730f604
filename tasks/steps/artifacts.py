"""The artifact that shows a turn on the page of its run in Prefect."""

from typing import Any

from prefect.artifacts import create_markdown_artifact

from everfit.tasks.ledger import Turn
from everfit.tasks.registry.mlflow_links import model_link, run_link
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


def leave_turn(context: Context, turn: Turn) -> Any:
    """Say in words how a turn ended and why: once when it ends, and again when what waited is decided.

    Returns:
        The artifact's id.
    """
    version = turn_record.TurnRecord.readable(turn.record).version
    run = "" if version is None else run_link(context.mlflow, context.settings, version.run_id)
    return create_markdown_artifact(  # called from a task it gives an id, and no coroutine
        turn_record.turn_page(turn, run) + model_link(context.settings, context.spec.name),
        key=f"{context.spec.name}-turn",
        description=f"{turn.state}: {turn.reasons[0] if turn.reasons else ''}",
    )
