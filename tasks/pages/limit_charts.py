"""Fairness, calibration and slices over time, each with its bound: charts, sentences and a table. Pure."""

from datetime import UTC, datetime
from typing import Any

from everfit.tasks.core.figures import as_known, in_digits
from everfit.tasks.pages.elements import coded, table
from everfit.tasks.pages.markup import Html, tag
from everfit.tasks.pages.series import DAY, MINUTE, Series

_MOST_CHARTS = 9
_FEWEST_DAYS = 2
_NONE = (
    "Nothing of this kind was measured yet. The spec says what is: `monitoring.fairness` and `monitoring.calibration` "
    "set limits, `columns.protected` names groups, and `gate.slices.columns` names columns whose values are slices."
)


def limits_section(series: Series) -> Html:
    """Return the section of the figures with bounds.

    Args:
        series: The looks.
    """
    title = tag("h2", "Fairness, calibration, label delay and slices")
    names = _ordered(series)
    if not names:
        return tag("section", title, tag("p", coded(_NONE), class_="quiet"))
    left = len(names) - len(_drawn(series))
    more = f" {left} of the {len(names)} figures have no chart; the table has all." if left else ""
    if missing := series.limits.left_out:
        more += f" The last look measured {missing} more, for which the page has no place; its JSON has them."
    heads = ["figure", "newest", "interval", "bound", "on the hold-out", "day", "result"]
    return tag(
        "section",
        title,
        tag("p", limits_summary(series) + more, class_="quiet"),
        tag("div", id="limits", class_="panels"),
        tag(
            "details",
            tag("summary", f"The {len(names)} figures as a table" if len(names) > 1 else "The figure as a table"),
            table(heads, [_row(series, name) for name in names], "The newest value of each figure"),
            open=not _drawn(series),
        ),
    )


def limits_summary(series: Series) -> str:
    """Return the section in words."""
    beyond = [series.limits.labels[name] for name in _ordered(series) if series.limits.newest(name)["beyond"]]
    if not beyond:
        return "None is surely beyond its bound at the end: for that, the whole interval must be beyond it."
    named = "; ".join(beyond[:4]) + (f"; and {len(beyond) - 4} more" if len(beyond) > 4 else "")
    return f"Surely beyond the bound at the end: {named}."


def limit_charts(series: Series) -> dict[str, Any]:
    """Return what the scripts of a page draw."""
    dumped = series.limits.dump()
    names = _drawn(series)
    charts = [[series.limits.labels[name], _caption(series, name), dumped["figures"][name]] for name in names]
    return {"days": dumped["days"], "charts": charts}


def _drawn(series: Series) -> list[str]:
    """Return the figures that have a chart: those that matter most, of those that are known on more than one day."""

    def days(name: str) -> int:
        return sum(value is not None for value in series.limits.figures[name]["value"])

    return [name for name in _ordered(series) if days(name) >= _FEWEST_DAYS][:_MOST_CHARTS]


def _ordered(series: Series) -> list[str]:
    """Return the figures: those beyond their bound first, then fairness, calibration and slices."""
    kinds = {"fairness": 0, "calibration": 1, "labels": 2, "slice": 3}

    def place(name: str) -> tuple[bool, int, float, str]:
        newest = series.limits.newest(name)
        return not newest["beyond"], kinds.get(name.partition(".")[0], 4), -_past_bound(newest), name

    return sorted(series.limits.figures, key=place)


def _past_bound(newest: dict[str, Any]) -> float:
    """Return by how much a figure is past its bound; negative within it, and least without a bound."""
    if newest["bound"] is None:
        return float("-inf")
    value, bound, expected = float(newest["value"]), float(newest["bound"]), newest["expected"]
    return bound - value if expected is not None and expected > bound else value - bound


def _caption(series: Series, name: str) -> str:
    newest = series.limits.newest(name)
    shown = _texts(newest)
    words = f"{shown['value']} ({shown['low']} to {shown['high']}) on {_day(newest['day'])}"
    if newest["expected"] is not None:
        words += f"; {shown['expected']} on the hold-out"
    if newest["bound"] is None:
        return f"{words}; the spec sets no limit"
    bound = f"{shown['bound']} at {'worst' if newest['expected'] is not None else 'most'}"
    return f"{words}; {bound}{': surely exceeded' if newest['beyond'] else ''}"


def _row(series: Series, name: str) -> list[str]:
    newest = series.limits.newest(name)
    shown = _texts(newest)
    interval = f"{shown['low']} to {shown['high']}"
    figures = [shown["value"], interval, shown["bound"], shown["expected"]]
    return [series.limits.labels[name], *figures, _day(newest["day"]), "surely exceeded" if newest["beyond"] else ""]


def _texts(newest: dict[str, Any]) -> dict[str, str]:
    """Return the numbers of a figure with as many digits as its interval leaves certain."""
    half = (newest["high"] - newest["low"]) / 2

    def text(part: str) -> str:
        return "-" if newest[part] is None else as_known(newest[part], half)

    limit = "-" if newest["bound"] is None else in_digits(newest["bound"])
    given = newest["expected"] is None or float(limit.replace(",", "")) == newest["bound"]
    return {part: text(part) for part in ("value", "low", "high", "expected")} | {
        "bound": limit if given else text("bound")
    }


def _day(day: int) -> str:
    return f"{datetime.fromtimestamp(day * DAY * MINUTE, UTC):%Y-%m-%d}"
