"""Small elements that pages share: a state, a moment, a table. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from everfit.tasks.pages.markup import Child, Html, tag
from everfit.tasks.pages.model_status import moment
from everfit.tasks.pages.states import STATES

_LONG, _FEW = 30, 2
"""Longer texts, in more columns than this, are too much for the width of a phone."""
_UNBROKEN = 24
"""Longer figures, such as spans of time, may be broken."""
_FIGURE = re.compile(r"(?:[-+±\d.,:% ]|to |hours?|days?|UTC|s\b)+")


def chip(state: str) -> Html:
    """Return a state as a coloured label."""
    declared = STATES[state]  # type: ignore[index]
    return tag("span", declared.label, class_=f"chip {declared.tone}", title=declared.meaning)


def time_of(at: datetime | str) -> Html:
    """Return a moment as an element, in UTC."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return tag("time", moment(at.astimezone(UTC)), datetime=at.isoformat())


def spaced(name: str) -> str:
    """Return the name of a state or verdict as words.

    Example:
        >>> spaced("AwaitingApproval"), spaced("roll_back")
        ('awaiting approval', 'roll back')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()


def coded(text: str) -> list[Child]:
    """Return text with what is between backticks as code."""
    return [tag("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))]


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", label: str = "") -> Html:
    """Return a table that scrolls by itself where it is wider than the page.

    On a phone, a table with long texts has its rows one beneath the other. Figures are not broken into lines.

    Args:
        heads: The names of the columns.
        rows: The cells; the first of each row is its heading.
        caption: Its title.
        label: Its name for screen readers, where it has no title.
    """
    head = tag("tr", [tag("th", name, scope="col") for name in heads])
    body = [tag("tr", [_cell(place, heads[place], cell) for place, cell in enumerate(row)]) for row in rows]
    texts = [cell for row in rows for cell in row[1:] if isinstance(cell, str) and not isinstance(cell, Html)]
    long = any(len(text) > _LONG for text in texts)
    named, name = tag("caption", caption) if caption else None, label or heads[0]
    return tag(
        "div",
        tag(
            "table",
            named,
            tag("thead", head),
            tag("tbody", body),
            aria_label=None if caption else name,
            class_="stacked" if long and len(heads) > _FEW else None,
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption or name,
    )


def _cell(place: int, head: str, cell: Any) -> Html:
    scope = None if place else "row"
    return tag("td" if place else "th", cell, scope=scope, data_label=head, class_=_unbroken(cell))


def _unbroken(cell: Any) -> str | None:
    short = isinstance(cell, str) and len(cell) <= _UNBROKEN
    return "figure-cell" if short and _FIGURE.fullmatch(cell) else None
