"""Each column's distribution then, in the training data, and now, in the newest window. Pure."""

from collections.abc import Sequence

from everfit.tasks.monitoring.window_columns import WindowColumns
from everfit.tasks.pages.elements import table
from everfit.tasks.pages.markup import Html, tag
from everfit.tasks.statistics.distributions import Bar, ColumnDistribution

_WIDTH, _HEIGHT = 100, 8


def column_bars(found: WindowColumns | None, order: Sequence[str]) -> Html | None:
    """Return the distributions as tables with bars; None if none are known.

    Args:
        found: The distributions of the newest window.
        order: The columns in the order of the heat map; the others are left out.
    """
    if found is None:
        return None
    known = {column.name: column for column in found.columns}
    shown = [(place, known[name]) for place, name in enumerate(order) if name in known and known[name].bars]
    if not shown:
        return None
    then = f"then: the training data of version {found.version}, to {found.trained_until:%Y-%m-%d}"
    now = f"now: the window to {found.until:%Y-%m-%d %H:%M} UTC"
    legend = tag(
        "ul",
        [
            tag("li", tag("span", class_=f"swatch block {name}", aria_hidden="true"), text)
            for name, text in (("then", then), ("now", now))
        ],
        class_="legend",
    )
    return tag(
        "div",
        tag("h3", "A column then and now"),
        legend,
        [_column(place, column) for place, column in shown],
        class_="then-now",
    )


def _column(place: int, column: ColumnDistribution) -> Html:
    head = tag("summary", tag("span", column.name, class_="tagged"), f" {_change(column)}")
    widest = max(max(bar.then, bar.now) for bar in column.bars) or 1.0
    rows = [[bar.label, _bars(bar, widest), _percent(bar.then), _percent(bar.now)] for bar in column.bars]
    heads = ["value", "share of the rows", "then", "now"]
    return tag("details", head, table(heads, rows, label=f"{column.name} then and now"), id=f"column-{place}")


def _change(column: ColumnDistribution) -> str:
    bar = column.most_changed
    if bar is None or _percent(bar.then) == _percent(bar.now):
        return "is as it was"
    return f"has changed most here: {bar.label}, {_percent(bar.then)} then, {_percent(bar.now)} now"


def _bars(bar: Bar, widest: float) -> Html:
    """Return two bars, one beneath the other; the figures are beside them."""
    parts = [
        tag(
            "rect",
            x=0,
            y=place * (_HEIGHT + 1),
            width=f"{_WIDTH * share / widest:.1f}",
            height=_HEIGHT,
            class_=name,
        )
        for place, (name, share) in enumerate((("then", bar.then), ("now", bar.now)))
    ]
    return tag(
        "svg",
        parts,
        viewBox=f"0 0 {_WIDTH} {2 * _HEIGHT + 1}",
        class_="bars",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"
