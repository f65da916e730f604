"""What a turn leaves on the page of a run in Prefect."""

from typing import Any

from prefect.artifacts import create_markdown_artifact

from everfit.tasks import turns
from everfit.tasks.context import Context
from everfit.tasks.ledger import Turn
from everfit.tasks.pages import run_link


def leave_turn(context: Context, turn: Turn) -> Any:
    """Say in words how a turn ended and why: once when it ends, and again when what waited is decided.

    Returns:
        The artifact's id.
    """
    version = turns.TurnRecord.readable(turn.record).version
    run = "" if version is None else run_link(context.mlflow, context.settings, version.run_id)
    return create_markdown_artifact(  # called from a task it gives an id, and no coroutine
        turns.markdown(turn, run),
        key=f"{context.spec.name}-turn",
        description=f"{turn.state}: {turn.reasons[0] if turn.reasons else ''}",
    )
