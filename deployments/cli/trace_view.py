"""The origin of a prediction on the terminal."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from everfit.deployments.cli.output import console
from everfit.tasks.core.outside_text import terminal_text
from everfit.tasks.pages.prediction_page import trace_facts

if TYPE_CHECKING:
    from everfit.tasks.batch.trace import Trace


def print_trace(trace: "Trace") -> None:
    """Print a prediction, its model version, and their origin."""
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in trace_facts(trace):
        facts.add_row(name, Text(terminal_text(value)))
    console.print(facts, highlight=False)
