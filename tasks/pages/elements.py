"""Small elements that pages share: a state, a moment, a table. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from everfit.tasks.pages.markup import Html, tag
from everfit.tasks.pages.states import STATES
from everfit.tasks.pages.status import moment


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


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", label: str = "") -> Html:
    """Return a table that scrolls by itself where it is wider than the page.

    Args:
        heads: The names of the columns.
        rows: The cells; the first of each row is its heading.
        caption: Its title.
        label: Its name for screen readers, where it has no title.
    """
    head = tag("tr", [tag("th", name, scope="col") for name in heads])
    body = [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in rows]
    named, name = tag("caption", caption) if caption else None, label or heads[0]
    return tag(
        "div",
        tag("table", named, tag("thead", head), tag("tbody", body), aria_label=None if caption else name),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption or name,
    )
