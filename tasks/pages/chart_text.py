"""The data of the charts, and each chart in words and as a table for those who can't see it. Pure."""

from collections import defaultdict
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from everfit.tasks.core.figures import in_digits
from everfit.tasks.pages.limit_charts import limit_charts
from everfit.tasks.pages.model_status import ModelStatus
from everfit.tasks.pages.series import DAY, MINUTE, Series
from everfit.tasks.triage import VERDICTS

_ROWS = 40
"""Columns of the heat map: those with the largest newest drift."""
_NEW_DAYS = 90

PANELS = (
    ("predictions", "predictions in a window", "count"),
    ("coverage", "mature rows with a label", "share"),
    ("p99_ms", "latency, p99 (ms)", "number"),
    ("error_rate", "requests with an error", "share"),
    ("outlier_share", "outliers", "share"),
    ("value_per_row", "worth of a row", "number"),
)
"""The small charts: name of the series, label, form."""


def chart_data(status: ModelStatus, content: dict[str, Any], series: Series) -> dict[str, Any]:
    """Return what the scripts of a page draw.

    Args:
        status: The state of the model.
        content: The page's data, the series among it.
        series: All looks.
    """
    dumped, names = content["series"], heat_columns(series)
    quality = status.quality
    return {
        "metric": "live quality" if quality is None else quality.metric,
        "minutes": dumped["minutes"],
        "columns": dumped["columns"],
        "panels": [[name, label, form] for name, label, form in PANELS if name in dumped["columns"]],
        "marks": [
            [int(datetime.fromisoformat(mark["at"]).timestamp()) // MINUTE, mark["kind"], mark["title"], mark["text"]]
            for mark in content["marks"]
        ],
        "reigns": [
            [int(datetime.fromisoformat(since).timestamp()) // MINUTE, version] for since, version in content["reigns"]
        ],
        "days": dumped["days"],
        "heat": [[name, series.drift[name]] for name in names],
        "limits": limit_charts(series),
    }


def heat_columns(series: Series) -> list[str]:
    """Return the columns of the heat map, the largest newest drift first."""

    def newest(name: str) -> float:
        return max((level for level in series.drift[name][-_NEW_DAYS:] if level is not None), default=0.0)

    return sorted(series.drift, key=lambda name: (-newest(name), name))[:_ROWS]


def quality_summary(status: ModelStatus, series: Series, reigns: list[Any]) -> str:
    """Return the timeline in words."""
    known = [value for value in series.columns["value"] if value is not None]
    if not len(series):
        return "The timeline begins with the first look: `everfit monitor` after the first predictions.".replace(
            "`", ""
        )
    looks = "One look" if len(series) == 1 else f"{len(series):,} looks"
    span = f"{_day(series.minutes[0])} to {_day(series.minutes[-1])}"
    champions = "one champion" if len(reigns) == 1 else f"{len(reigns)} champions"
    if not known:
        return f"{looks} from {span}, {champions}. Live quality is not known yet: no labels are mature."
    metric = "live quality" if status.quality is None else status.quality.metric
    words = (
        f"{looks} from {span}, {champions}. {metric} was between {in_digits(min(known))} and {in_digits(max(known))}"
    )
    return f"{words}, {in_digits(known[-1])} at the end."


def drift_summary(series: Series) -> str:
    """Return the heat map in words."""
    if not series.days:
        return "Drift is shown from the first look that measures it."
    last = {name: column[-1] for name, column in series.drift.items() if column[-1] is not None}
    beyond = sorted((name for name, level in last.items() if level >= 1), key=lambda name: -last[name])
    day = f"{datetime.fromtimestamp(series.days[-1] * DAY * MINUTE, UTC):%Y-%m-%d}"
    left_out = len(series.drift) - min(len(series.drift), _ROWS)
    note = f" {left_out} columns with less drift are left out." if left_out else ""
    if not beyond:
        return f"On {day}, the last day, no column was beyond its threshold.{note}"
    named = ", ".join(f"{name} ({last[name]:.2g} times)" for name in beyond[:6])
    more = f" and {len(beyond) - 6} more" if len(beyond) > 6 else ""
    return f"Beyond their threshold on {day}, the last day: {named}{more}.{note}"


def monthly_rows(series: Series) -> list[list[str]]:
    """Return live quality by month as rows of text, the newest first."""
    days: dict[int, list[int]] = defaultdict(list)
    for place, minute in enumerate(series.minutes):
        days[minute // DAY].append(place)
    months: dict[str, list[int]] = defaultdict(list)
    for day, places in days.items():
        months[f"{datetime.fromtimestamp(day * DAY * MINUTE, UTC):%Y-%m}"] += places
    rows = []
    for month, places in sorted(months.items(), reverse=True):
        known = [value for place in places if (value := series.columns["value"][place]) is not None]
        versions = [series.columns["champion"][place] for place in places]
        figures = [in_digits(figure(known)) for figure in (fmean, min, max)] if known else ["-"] * 3
        worst = _worst([series.columns["verdict"][place] for place in places])
        champions = ", ".join(str(version) for version in dict.fromkeys(versions) if version is not None)
        rows.append([month, f"{len(places):,}", *figures, worst, champions or "-"])
    return rows


def _worst(verdicts: list[str]) -> str:
    severity = [str(verdict) for verdict in VERDICTS]
    known = [verdict for verdict in verdicts if verdict in severity]
    return max(known, key=severity.index).replace("_", " ") if known else "-"


def _day(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * MINUTE, UTC):%Y-%m-%d}"
