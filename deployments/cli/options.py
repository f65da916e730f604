"""Options and arguments that several commands share, and the panels of `everfit --help`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from everfit.blocks.errors import EverfitError

START, LOOP, DECIDE = "Start", "Loop: train, predict, label, monitor", "Decide: review, release, roll back"
DATA, SERVE, SERVER, UPKEEP = "Data", "Serve", "Server", "Upkeep"

_MODEL = "A spec file, the name of a spec here or in `deployments/models`, or the name of a stored block."

Model = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)]
ModelOption = Annotated[str | None, typer.Option("--model", help=f"{_MODEL} By default all models are searched.")]
Models = Annotated[list[str], typer.Argument(metavar="MODEL…", help=f"{_MODEL} One or more.")]
TurnId = Annotated[str, typer.Argument(metavar="TURN", help="The id of a turn, as `everfit history MODEL` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
Until = Annotated[
    str | None,
    typer.Option(
        help="Use only what was known at this time, such as 2024-06-01 or 2024-06-01T06:00:00Z (UTC without a zone). "
        "By default it is now."
    ),
]
Reason = Annotated[str, typer.Option(help="The reason, for the history.")]
By = Annotated[str, typer.Option(help="The name of the person who decides.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")]


def parse_time(text: str | None, option: str) -> datetime:
    """Return a time from the command line. Without a zone it is UTC, and without a text it is now.

    Raises:
        EverfitError: The text is not a time.
    """
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise EverfitError(
            f"{option} {text!r} is not a time; give one such as 2013-03-01 or 2013-03-01T06:00:00Z"
        ) from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def is_debug(context: typer.Context) -> bool:
    """Return whether `everfit --debug` was given."""
    parent = context.parent
    return bool(parent and parent.params.get("debug"))
