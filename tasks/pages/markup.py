"""HTML whose texts are escaped unless they are HTML already. Pure."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from everfit.tasks.core.outside_text import html_text, script_json
from everfit.tasks.core.page_policy import policy_of, with_policy

_EMPTY = frozenset({"br", "input", "meta", "link", "col"})


class Html(str):
    """Text that is HTML; every other text is escaped."""

    __slots__ = ()


Child = Html | str | int | None | Iterable["Child"]
"""The content of an element: HTML as it is, other texts escaped, nested lists in their order."""


def tag(name: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Return an element.

    Args:
        name: The element's name.
        children: Its content.
        attributes: Its attributes; `class_` is `class`, `aria_label` is `aria-label`; None and False leave one out.

    Example:
        >>> tag("p", "a < b", class_="note")
        '<p class="note">a &lt; b</p>'
    """
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Child) -> Html:
    """Return content as one piece of HTML."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str | int):
        return Html(html_text(str(children)))
    return Html("".join(joined(child) for child in children))


def anchor(text: Child, address: str, **attributes: str | int | bool | None) -> Html:
    """Return a link; an address that is neither a page's nor relative is shown as text.

    Args:
        text: Its content.
        address: Its address.
        attributes: Its attributes.
    """
    scheme, separator, _ = address.partition(":")
    if separator and scheme.lower() not in {"http", "https"} and "/" not in scheme:
        return joined([text, f" ({address})"])
    return tag("a", text, href=address, rel="noreferrer", **attributes)


def document(title: str, body: Child, *, data: Mapping[str, Any], style: Iterable[str], scripts: Iterable[str]) -> str:
    """Return a page that has all it needs, with a policy that allows its own scripts and nothing else.

    Args:
        title: The title.
        body: The content.
        data: Plain data for the scripts, in the element `data`.
        style: Names of the style sheets among the assets.
        scripts: Names of the scripts among the assets.
    """
    programs = "".join(f"<script>{asset(name)}</script>" for name in scripts)
    sheets = "".join(f"<style>{asset(name)}</style>" for name in style)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{html_text(title)}</title>{sheets}"
    )
    content = f'<script type="application/json" id="data">{script_json(data)}</script>'
    shell = f'<!doctype html><html lang="en"><head>{head}</head><body>{joined(body)}{content}{programs}</body></html>\n'
    return with_policy(shell, policy_of(f"<html><head></head><body>{programs}</body></html>"))


@cache
def asset(name: str) -> str:
    """Return the text of an asset.

    Args:
        name: Its path below `assets/`.
    """
    return files("everfit.tasks.pages").joinpath("assets").joinpath(name).read_text(encoding="utf-8").strip()


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{html_text(str(value))}"'
