"""The demo's picture: live quality of the champion beside that of the first model without retraining."""

from collections.abc import Sequence
from pathlib import Path

from everfit.deployments.demo.year import Month

_LIVE, _FROZEN, _TURN = "#1f77b4", "#999999", "#2ca02c"
_TITLE = "Flights of 2013: AUC of each month's predictions"


def draw(months: Sequence[Month], folder: Path) -> tuple[Path, Path]:
    """Draw the months as a PNG and as a page that shows each month's reasons.

    Args:
        months: In order of time.
        folder: Where both go.

    Returns:
        The paths of the PNG and of the HTML.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, page = folder / "year.png", folder / "year.html"
    _png(months, png)
    _html(months, page)
    return png, page


def _png(months: Sequence[Month], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    names = [f"{month.since:%b}" for month in months]
    figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
    axes.plot(names, [month.frozen for month in months], color=_FROZEN, marker="o", label="first model, left alone")
    axes.plot(names, [month.live for month in months], color=_LIVE, marker="o", label="with everfit")
    axes.fill_between(
        names, [month.frozen for month in months], [month.live for month in months], color=_LIVE, alpha=0.12
    )
    labelled = False
    for number, month in enumerate(months):
        if month.turn == "Promoted":
            word = None if labelled else "new champion released"
            axes.axvline(number + 0.5, color=_TURN, linestyle="--", linewidth=1.2, label=word)
            labelled = True
    for number, month in enumerate(months):
        below = month.live < month.frozen
        axes.annotate(
            f"{month.live:.3f}",
            (number, month.live),
            textcoords="offset points",
            xytext=(0, -14 if below else 8),
            ha="center",
            fontsize=8,
            color=_LIVE,
        )
    axes.set_title(_TITLE)
    axes.set_ylabel("ROC AUC, flights that have landed")
    axes.margins(y=0.15)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="best", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _html(months: Sequence[Month], path: Path) -> None:
    import plotly.graph_objects as go

    names = [f"{month.since:%b}" for month in months]
    hover = [f"drift: {month.moved}<br>{month.verdict}: {month.reason}<br>{month.turn}" for month in months]
    figure = go.Figure()
    lines = (("first model, left alone", "frozen", _FROZEN), ("with everfit", "live", _LIVE))
    for name, field, color in lines:
        values = [getattr(month, field) for month in months]
        figure.add_scatter(
            x=names,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": color},
            text=hover,
            hovertemplate="%{x}: %{y:.4f}<br>%{text}<extra></extra>",
        )
    for number, month in enumerate(months):
        if month.turn == "Promoted":
            figure.add_vline(x=number + 0.5, line_dash="dash", line_color=_TURN)
    figure.update_layout(title=_TITLE, yaxis_title="ROC AUC, flights that have landed", template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)
