"""The printed output of `everfit rehearse`."""

from rich.table import Table

from everfit.deployments.cli.output import console, print_lines
from everfit.tasks.rehearsal.outcome import Rehearsal
from everfit.tasks.rehearsal.page import LEGEND, advice, cells, columns, windows_table


def print_rehearsal(outcome: Rehearsal, page: str) -> None:
    """Print the policies, the windows and the recommendation.

    Args:
        outcome: The outcome of the rehearsal.
        page: Path of its page.
    """
    if outcome.standings:
        _print_windows(outcome)
        table = Table()
        for place, name in enumerate(columns(outcome)):
            table.add_column(name, justify="right" if place else "left", no_wrap=place > 0, overflow="fold")
        for standing in outcome.standings:
            style = "bold" if standing.kind == "spec" else None
            table.add_row(*cells(standing, outcome), style=style)
        console.print(table)
        for line in LEGEND:
            console.print(line, style="dim", highlight=False)
        console.print()
        print_lines(*outcome.pairs)
    headline, *rest = advice(outcome)
    console.print(f"\n[bold]{headline}[/bold]", highlight=False)
    print_lines(*rest)
    for note in outcome.notes:
        print_lines(f"Note: {note}")
    print_lines(f"Look:  {page}")


def _print_windows(outcome: Rehearsal) -> None:
    heads, rows = windows_table(outcome)
    table, policies = Table(), len(outcome.plays)
    short = [*heads[:2], *(str(number) for number in range(1, policies + 1)), *heads[2 + policies :]]
    for place, name in enumerate(short):
        table.add_column(name, justify="left" if place in {0, policies + 2} else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)
    numbered = [f"{number} {play.policy}" for number, play in enumerate(outcome.plays, start=1)]
    console.print(
        f"{outcome.scale.metric} by policy: {'; '.join(numbered)}. * a model was released before this window, ° a turn "
        "released none.",
        style="dim",
        highlight=False,
    )
