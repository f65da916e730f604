"""Run everfit's commands as the drivers do, each in a process of its own that may die."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from support.processes import Commands, Said

_SECONDS = 400.0


def run_command(
    words: Sequence[str],
    variables: Mapping[str, str] | None = None,
    around: Callable[[], AbstractContextManager[object]] | None = None,
) -> Said | None:
    """Run a command in this working folder, and return what it said; None if its process was killed.

    Args:
        words: The command, without `everfit`.
        variables: Environment variables beside those of this process.
        around: Function that returns what the process enters before the command, such as a recorder of its flushes.
    """
    commands = Commands(words, environment=os.environ | dict(variables or {}), around=around)
    try:
        (said,) = commands.said(_SECONDS)
    except EOFError:
        return None
    return said


def said_by(words: Sequence[str], variables: Mapping[str, str] | None = None) -> Said:
    """Run a command that nothing kills."""
    said = run_command(words, variables)
    if said is None:
        raise RuntimeError(f"the process of {words} died")
    return said
