"""The results of `bootstrap` and `up` on the terminal."""

from typing import TYPE_CHECKING

from everfit.deployments.cli.output import console
from everfit.deployments.server.changes import Changes

if TYPE_CHECKING:
    from everfit.deployments.server.stack import Stack

_COLOURS = {"created": "green", "changed": "yellow", "removed": "red", "kept": "cyan", "waiting": "cyan"}


def print_changes(changes: Changes) -> None:
    """Print each change on a line, then the number of unchanged things."""
    unchanged = sum(change.status == "unchanged" for change in changes.made)
    for change in changes.made:
        if change.status != "unchanged":
            would = "would be " if changes.dry_run and change.status in {"created", "changed", "removed"} else ""
            colour = _COLOURS[change.status]
            reason = f"  ({change.reason})" if change.reason else ""
            console.print(
                f"{change.kind:<12} {change.name}  {would}[{colour}]{change.status}[/]{reason}", soft_wrap=True
            )
    console.print(f"{unchanged} unchanged" + (", nothing to do" if not changes.any else ""))


def print_stack(stack: "Stack") -> None:
    """Print the addresses of a stack."""
    for name, address in stack.addresses.items():
        console.print(f"{name:<20} {address}", soft_wrap=True)
    console.print(f"{'logs':<20} {stack.logs}", soft_wrap=True)
    console.print("\nTo use the stack from a shell:")
    for variable in stack.exports:
        console.print(f"  export {variable}", soft_wrap=True, highlight=False, markup=False)
    console.print("To stop it:           everfit down")
    if stack.note:
        console.print(stack.note, soft_wrap=True, highlight=False, markup=False)
