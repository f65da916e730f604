"""Artifacts on the pages of Prefect, whose texts can't act there, and the one that shows a turn."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from everfit.tasks.core.outside_text import markdown_text, page_text
from everfit.tasks.ledger import Turn
from everfit.tasks.registry.mlflow_links import model_link, run_link
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


def leave_page(key: str, page: str, description: str = "") -> Any:
    """Leave a page as an artifact.

    Args:
        key: Key of the artifact.
        page: Markdown, in which texts of data and people are escaped by `markdown_text`.
        description: One line of plain text, which Prefect shows as Markdown.

    Returns:
        The artifact's id.
    """
    # Called from a task it gives an id, and no coroutine.
    return create_markdown_artifact(page, key=key, description=markdown_text(description) or None)


def leave_table(key: str, rows: Sequence[Mapping[str, Any]], description: str = "", link: str = "") -> Any:
    """Leave a table as an artifact; its names and cells are shown without markup.

    Args:
        key: Key of the artifact.
        rows: The rows, by column.
        description: One line of plain text, which Prefect shows as Markdown.
        link: A link in Markdown, which follows the description.

    Returns:
        The artifact's id.
    """
    shown = [page_text(dict(row)) for row in rows]
    described = f"{markdown_text(description)} {link.strip()}".strip()
    return create_table_artifact(shown, key=key, description=described or None)


def leave_turn(context: Context, turn: Turn) -> Any:
    """Say in words how a turn ended and why: once when it ends, and again when what waited is decided.

    Returns:
        The artifact's id.
    """
    version = turn_record.TurnRecord.readable(turn.record).version
    run = "" if version is None else run_link(context.mlflow, context.settings, version.run_id)
    return leave_page(
        f"{context.spec.name}-turn",
        turn_record.turn_page(turn, run) + model_link(context.settings, context.spec.name),
        f"{turn.state}: {turn.reasons[0] if turn.reasons else ''}",
    )
