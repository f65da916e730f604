"""Show text from data or people where it could act: in a page, a spreadsheet or a terminal. Pure.

Text of a source, a client or a person may hold a script, a formula or a terminal's control sequence. Everything that
shows such text uses one of these functions.
"""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

# Control characters but line feed and tab, the marks that reverse the direction of what follows, and halves of a
# character, which no encoding can write.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TAG = re.compile(r"<(?=[\w/!?@#])")
_MARKDOWN = str.maketrans({"<": r"\<", "[": r"\[", "]": r"\]", "|": r"\|", "\n": " "})
_ESCAPE = re.compile(r"\\(?=[^\w\s]|$)")  # before a letter Markdown shows a backslash as it is
_MENTION = re.compile(r"(?<![\w.+-])@(?=\w)")
_MARKUP = str.maketrans({"<": "[", ">": "]"})
_FORMULA = re.compile(r"\s*[=+@\uff1d\uff0b\uff0d\uff20-]|[\t\n]")


def terminal_text(text: str) -> str:
    r"""Return text without control characters.

    Args:
        text: Any text.

    Example:
        >>> terminal_text("a\x1b[2Jb")
        'a\ufffd[2Jb'
    """
    return _CONTROL.sub("\ufffd", text)


def page_text(value: Any) -> Any:
    """Return a value for the page of another library, which may not escape it: without markup and control characters.

    The signs of markup become brackets, because the library may show an entity as it is, and texts of Markdown links
    are cut in two.

    Args:
        value: A text, or JSON that contains texts; other values stay as they are.

    Example:
        >>> page_text(["<script>", 1])
        ['[script]', 1]
    """
    if isinstance(value, str):
        return terminal_text(value).translate(_MARKUP).replace("](", "] (")
    if isinstance(value, Mapping):
        return {page_text(name): page_text(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(page_text(item) for item in value)
    return value


def html_text(text: str) -> str:
    """Return text for an element or an attribute of everfit's own pages, which show it as it is.

    Args:
        text: Any text.

    Example:
        >>> html_text("<b> & 'c'")
        '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(terminal_text(text))


def script_json(content: Any) -> str:
    r"""Return plain data as JSON for a script element, which nothing in it can end.

    Args:
        content: Plain data without NaN and infinity.

    Example:
        >>> script_json({"a": "</script>"})
        '{"a":"\\u003c/script>"}'
    """
    try:
        text = orjson.dumps(content).decode()
    except TypeError:  # of half a character, such as a byte of a command line that is no UTF-8
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def writable(value: Any) -> Any:
    r"""Return JSON whose texts can be written into a file: half a character becomes a sign that says so.

    Example:
        >>> writable(["\udcff", 1])
        ['�', 1]
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {writable(name): writable(item) for name, item in value.items()}
    return [writable(item) for item in value] if isinstance(value, list | tuple) else value


def markdown_text(text: str) -> str:
    r"""Return text for a line or a table cell of Markdown: without tags, links, pictures and ends of the line.

    Args:
        text: Any text; code between backticks stays code.

    Example:
        >>> markdown_text("![x](https://example.com)|")
        '!\\[x\\](https://example.com)\\|'
    """
    return _ESCAPE.sub(r"\\\\", terminal_text(text)).translate(_MARKDOWN)


def message_text(text: str) -> str:
    """Return text for a notification, whose receiver may read tags, mentions, and links with another name.

    Args:
        text: Any text.

    Example:
        >>> message_text("<!channel> and 1 < 2, @everyone")
        '< !channel> and 1 < 2, @ everyone'
    """
    return _MENTION.sub("@ ", _TAG.sub("< ", terminal_text(text))).replace("](", "] (")


def cell_text(value: Any) -> Any:
    """Return a value for a spreadsheet's cell: a text that it would compute gets an apostrophe before it.

    Args:
        value: A text; other values stay as they are.

    Example:
        >>> cell_text("=1+1")
        "'=1+1"
    """
    if not isinstance(value, str):
        return value
    text = terminal_text(value)
    return f"'{text}" if _FORMULA.match(text) else text
