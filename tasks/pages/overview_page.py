"""The page of all models as HTML that needs no network. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from everfit.tasks.core.figures import as_known
from everfit.tasks.ledger import Turn
from everfit.tasks.pages.elements import chip, time_of
from everfit.tasks.pages.facts import ModelFacts
from everfit.tasks.pages.markup import Child, Html, anchor, document, tag
from everfit.tasks.pages.model_status import ModelStatus, moment
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.states import ORDER, STATES
from everfit.tasks.pages.status import late_from, late_words

_MONTH = timedelta(days=30)
_HEADS = (
    ("model", "Model", "ascending"),
    ("state", "State", "ascending"),
    ("quality", "Live quality", "descending"),
    ("looked", "Last look", "descending"),
    ("signal", "Worst signal", "ascending"),
    ("waits", "Waits", "descending"),
    ("age", "Champion", "ascending"),
    ("turns", "Turns in 30 days", "descending"),
)
"""Key, name and first direction of each column."""


def entry_of(status: ModelStatus, facts: ModelFacts, series: Series, content: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a model.

    Args:
        status: The state of the model.
        facts: The rows of the ledger.
        series: All looks.
        content: The page's data: `limits` and `left`.
    """
    recent = [turn for turn in facts.turns if turn.started_at > facts.until - _MONTH]
    quality = status.quality
    return {
        "state": status.state,
        "reason": status.reason,
        "next": status.next,
        "champion": status.champion,
        "champion_since": None if status.champion_since is None else status.champion_since.isoformat(),
        "metric": "" if quality is None else quality.metric,
        "value": None if quality is None else quality.value,
        "expected": None if quality is None else quality.expected,
        "spark": series.spark(),
        "looked_at": None if status.last_look is None else status.last_look.until.isoformat(),
        "verdict": "" if status.last_look is None else status.last_look.verdict,
        "asks": [ask.what for ask in status.asks],
        "turns": len(recent),
        "seconds": round(sum(turn.seconds or 0.0 for turn in recent), 1),
        "processor": _sum(recent),
        "shortfall": None if quality is None else quality.shortfall,
        "half": None if quality is None else quality.half,
        "late_from": None if (late := late_from(facts.looks)) is None else late.isoformat(),
        "limits": content["limits"],
        "left": content["left"],
    }


def overview_page(content: dict[str, Any]) -> str:
    """Return the page of all models.

    Args:
        content: Rows by model, and when they were written.
    """
    written = datetime.fromisoformat(content["written_at"])
    present = {name: _at(row, written) for name, row in content["models"].items()}
    rows = sorted(present.items(), key=lambda row: (ORDER[row[1]["state"]], not row[1]["asks"], row[0]))
    body = [
        tag("a", "Skip to content", href="#main", class_="skip"),
        tag("header", tag("h1", "Models"), tag("p", _summary(rows), class_="lead")),
        tag("main", _table(rows, written) if rows else _nothing(), id="main"),
        tag(
            "footer",
            tag(
                "p",
                "Written at ",
                time_of(content["written_at"]),
                ". All times are UTC. ",
                anchor("The data of this page", "index.json"),
                ". ",
                tag("code", "everfit status"),
                " says the same in a terminal.",
            ),
        ),
    ]
    return document("Models: everfit", body, data={}, style=("page.css",), scripts=("overview.js",))


def _sum(turns: list[Turn]) -> float | None:
    """Return the processor time of turns; None if that of one which has ended is not known."""
    used = [(turn.settled, turn.record.get("processor_seconds")) for turn in turns]
    if any(ended and seconds is None for ended, seconds in used):
        return None
    return round(sum(float(seconds or 0.0) for _, seconds in used), 1)


def small_line(values: list[float], expected: float | None = None) -> Html:
    """Return a small line without axes; its figures are beside it."""
    if len(values) < 2:
        return Html("")
    low, high = min(values), max(values)
    if expected is not None:
        low, high = min(low, expected), max(high, expected)
    span = (high - low) or 1.0

    def y(value: float) -> str:
        return f"{22 - 20 * (value - low) / span:.1f}"

    points = " ".join(f"{place * 100 / (len(values) - 1):.1f},{y(value)}" for place, value in enumerate(values))
    level = (
        tag("line", x1=0, x2=100, y1=y(expected), y2=y(expected), class_="expected") if expected is not None else None
    )
    line = tag("polyline", points=points)
    return tag("svg", level, line, viewBox="0 0 100 24", class_="spark", aria_hidden="true", preserveAspectRatio="none")


def _at(row: dict[str, Any], written: datetime) -> dict[str, Any]:
    """Return a row as it is when the page is written: a model whose looks have stopped has written none since."""
    late = row.get("late_from")
    if late is None or written <= datetime.fromisoformat(late) or ORDER[row["state"]] < ORDER["late"]:
        return row
    return row | {"state": "late", "reason": late_words(datetime.fromisoformat(row["looked_at"]))}


def _summary(rows: list[tuple[str, dict[str, Any]]]) -> str:
    counts = {state: sum(row["state"] == state for _, row in rows) for state in STATES}
    parts = [f"{count} {STATES[state].label}" for state, count in counts.items() if count]
    total = "1 model" if len(rows) == 1 else f"{len(rows):,} models"
    return f"{total}: {', '.join(parts)}." if rows else "No model yet."


def _nothing() -> Html:
    text = "The first turn of a model brings it here: "
    return tag("p", text, tag("code", "everfit train MODEL"), ".", class_="quiet")


def _table(rows: list[tuple[str, dict[str, Any]]], written: datetime) -> Html:
    options = [tag("option", "all states", value="")]
    present = {row["state"] for _, row in rows}
    options += [tag("option", STATES[state].label, value=state) for state in STATES if state in present]
    tools = tag(
        "form",
        tag("label", "Filter ", tag("input", type="search", id="filter", placeholder="name, state, reason")),
        tag("label", "State ", tag("select", options, id="states")),
        tag("output", f"{len(rows):,} shown", id="shown"),
        class_="tools",
        role="search",
    )
    heads = [
        tag(
            "th",
            tag("button", name, type="button", data_key=key, data_first=first),
            scope="col",
            aria_sort="ascending" if key == "state" else "none",
        )
        for key, name, first in _HEADS
    ]
    body = [_row(name, row, written) for name, row in rows]
    caption = tag("caption", "All models, what is wrong first", class_="hidden")
    return Html(
        tools + tag("table", caption, tag("thead", tag("tr", heads)), tag("tbody", body, id="rows"), class_="models")
    )


def _row(name: str, row: dict[str, Any], written: datetime) -> Html:
    quality: Child = "-"
    if row["value"] is not None:
        half = row.get("half")
        band = "" if half is None else f"\u00a0±\u00a0{as_known(half, half)}"
        figure = f"{row['metric']} {as_known(row['value'], half)}{band}"
        expected = None if row["expected"] is None else f"{as_known(row['expected'], half)} expected"
        quality = [
            small_line(row["spark"], row["expected"]),
            tag("span", figure),
            tag("span", expected) if expected else None,
        ]
    since = row["champion_since"]
    days = (written - datetime.fromisoformat(since)).days if since else None
    age: Child = "-"
    if days is not None:
        age = [tag("span", f"version {row['champion']}"), tag("span", "1 day" if days == 1 else f"{days:,} days")]
    used = row.get("processor")
    spent = f"in {_time(row['seconds'])}" if used is None else f"by {_time(used)} of processor time"
    turns = f"{row['turns']} {spent}" if row["turns"] else "0"
    left = f"{row['left']} left" if row.get("left") else ""
    held = f"; {row['limits'].rpartition('; ')[2]}" if left and "cooldown until" in row["limits"] else ""
    budget = tag("span", f"{left}{held}", class_="quiet small", title=row["limits"]) if left else None
    cells: list[tuple[str, Any, Child]] = [
        ("State", ORDER[row["state"]], chip(row["state"])),
        ("Live quality", row.get("shortfall"), quality),
        ("Last look", row["looked_at"] or "", _day_and_time(row["looked_at"]) if row["looked_at"] else "none yet"),
        ("Worst signal", row["reason"] if row["state"] != "fit" else None, _signal(row)),
        ("Waits", len(row["asks"]), [tag("div", ask, class_="clamp", title=ask) for ask in row["asks"][:3]] or "-"),
        ("Champion", days, age),
        ("Turns in 30 days", row["turns"], [turns, budget]),
    ]
    first = tag("th", anchor(name, f"{quote(name)}/index.html"), scope="row", data_sort=name, data_label="Model")
    rest = [
        tag(
            "td",
            value,
            data_sort=str("" if key is None else key),
            data_label=label,
            class_="nothing" if value in ("-", ["0", None]) else None,
        )
        for label, key, value in cells
    ]
    return tag("tr", first, rest, data_state=row["state"])


def _day_and_time(at: str) -> Html:
    day, _, clock = moment(datetime.fromisoformat(at).astimezone(UTC)).partition(" ")
    return tag("time", tag("span", day), " ", tag("span", clock), datetime=at)


def _time(seconds: float) -> str:
    """Return how long turns took."""
    size, unit = (1, "s") if seconds < 120 else (60, "min") if seconds < 7_200 else (3_600, "h")
    return f"{seconds / size:,.0f} {unit}"


def _signal(row: dict[str, Any]) -> Child:
    if row["state"] == "fit":
        return "-"
    text = row["reason"] or row["next"].replace("`", "")
    return tag("span", text, class_="clamp", title=text)
