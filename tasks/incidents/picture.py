"""The picture of a message: the newest windows as a line."""

from pathlib import Path

from everfit.tasks.core.outside_text import page_text
from everfit.tasks.incidents.alert import Alert


def draw_chart(folder: str, title: str, alert: Alert) -> str:
    """Draw the chart of an alert.

    Args:
        folder: Where the picture is written.
        title: Its title.
        alert: The alert, with the values of a chart.

    Returns:
        The path of the picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1 - len(alert.chart), 1), alert.chart, marker="o", markersize=3)
    axes.set_title(str(page_text(title)).replace("$", r"\$"), fontsize="small")
    axes.set_ylabel(alert.chart_of, fontsize="small")
    axes.set_xlabel("windows before the newest", fontsize="small")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    path = Path(folder, "incident.png")
    figure.savefig(path)
    return str(path)
