"""Turns and releases as text and tables on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from everfit.deployments.cli.output import console

if TYPE_CHECKING:
    from everfit.tasks.monitoring.worth import MonthWorth

_NONE = "-"

Turn = dict[str, Any]


def print_turn(turn: Turn) -> None:
    """Print the state of one turn and its reasons."""
    console.print(f"\n[bold]{turn['model']}[/bold] as of {turn['until'][:16]}: [bold]{turn['state']}[/bold]")
    for reason in turn["reasons"]:
        console.print(f"  {reason}", highlight=False)
    console.print(f"  turn {turn['turn_id']}, {_seconds(turn['seconds'])}", style="dim")


def print_turns(turns: Sequence[Turn]) -> None:
    """Print a table of turns, then the id and the reasons of each turn."""
    table = Table(show_lines=True)
    for name in ("until", "trigger", "rows", "candidates", "hold-out", "verdict", "time"):
        fixed = name in {"until", "rows", "time", "verdict"}
        table.add_column(name, justify="right" if name in {"rows", "time"} else "left", no_wrap=fixed, overflow="fold")
    for turn in turns:
        table.add_row(
            turn["until"][:10],
            turn["trigger"],
            f"{turn['snapshot']['rows']:,}" if turn["snapshot"] else _NONE,
            "\n".join(turn["candidates"]) or _NONE,
            _holdout(turn),
            turn["state"],
            _seconds(turn["seconds"]),
        )
    console.print(table)
    for turn in turns:
        console.print(f"[bold]{turn['turn_id']}[/bold]  {turn['state']}", highlight=False, soft_wrap=True)
        for reason in turn["reasons"]:
            console.print(f"  {reason}", highlight=False, markup=False)


def print_worth(name: str, months: "Sequence[MonthWorth]") -> None:
    """Print what the loop has been worth by month.

    Args:
        name: Name of the model.
        months: Oldest first.
    """
    from everfit.tasks.monitoring.worth import worth_heads, worth_rows, worth_summary

    console.print(f"[bold]{name}[/bold]: {worth_summary(months)}", highlight=False)
    if not months:
        return
    table = Table()
    for place, head in enumerate(worth_heads(months)):
        table.add_column(head, justify="right" if place else "left")
    for row in worth_rows(months):
        table.add_row(*row)
    console.print(table)
    console.print(f"{months[-1].metric}, ± half of the 95 % interval; positive is better.", style="dim")
    for month in months:
        for note in month.notes:
            console.print(f"{month.month}: {note}", highlight=False, markup=False)


def print_history(history: dict[str, Any]) -> None:
    """Print the turns and releases of a model."""
    counts = ((len(history[f"{noun}s"]), noun) for noun in ("turn", "release"))
    summary = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    console.print(f"[bold]{history['model']}[/bold]: {summary}")
    for change in history["changes"]:
        console.print(f"  {change['at'][:16]}  {change['reason']}", highlight=False, markup=False)
    if history["turns"]:
        print_turns(history["turns"])
    if history["waiting"]:
        console.print(history["waiting"]["summary"], highlight=False, markup=False)
    if history["releases"]:
        table = Table(title="releases", title_justify="left")
        for name in ("release", "version", "previous", "kind, by", "at", "state", "reason"):
            table.add_column(name, overflow="fold")
        for entry in history["releases"]:
            table.add_row(
                str(entry["seq"]),
                str(entry["version"]),
                str(entry["previous"] or _NONE),
                f"{entry['kind']}, {entry['actor']}",
                entry["at"][:16],
                entry["state"],
                entry["reason"],
            )
        console.print(table)


def _holdout(turn: Turn) -> str:
    """Return the primary metric of both models on the hold-out; the first metric is the primary one."""
    challenger, champion = turn["challenger"], turn["champion"]
    if challenger is None:
        return _NONE
    name = next(iter(challenger["metrics"]))
    lines = [f"{name}", f"challenger {_metric(challenger, name)}"]
    return "\n".join([*lines, f"champion {_metric(champion, name)}" if champion else "no champion yet"])


def _metric(contender: dict[str, Any], name: str) -> str:
    value = contender["metrics"].get(name)
    version = "" if contender["version"] is None else f"{contender['version']}: "
    return f"{version}{value:.4f}" if value is not None else f"{version}{_NONE}"


def _seconds(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds:.1f} s"
