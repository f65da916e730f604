"""What `bootstrap` and `up` have to say, on a terminal."""

from typing import TYPE_CHECKING

from everfit.deployments.cli.tables import console
from everfit.deployments.server.changes import Changes

if TYPE_CHECKING:
    from everfit.deployments.server.stack import Stack

_COLOURS = {"created": "green", "changed": "yellow", "removed": "red", "kept": "cyan", "waiting": "cyan"}


def print_changes(changes: Changes) -> None:
    """Print what was made or changed, line by line, and how much was left as it was."""
    left = sum(change.what == "left" for change in changes.made)
    for change in changes.made:
        if change.what != "left":
            would = "would be " if changes.dry_run and change.what in {"created", "changed", "removed"} else ""
            colour = _COLOURS[change.what]
            why = f"  ({change.why})" if change.why else ""
            console.print(f"{change.kind:<12} {change.name}  {would}[{colour}]{change.what}[/]{why}", soft_wrap=True)
    console.print(f"{left} left as they were" + (", nothing to do" if not changes.any else ""))


def print_stack(stack: "Stack") -> None:
    """Print where everything is."""
    for name, address in stack.addresses.items():
        console.print(f"{name:<20} {address}", soft_wrap=True)
    console.print(f"{'logs':<20} {stack.logs}", soft_wrap=True)
    console.print("\nFor a shell that is to see the same:")
    for each in stack.exports:
        console.print(f"  export {each}", soft_wrap=True, highlight=False, markup=False)
    console.print("To stop it:           make down")
