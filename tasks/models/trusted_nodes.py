"""Allow a model file an exact list of classes, by the kind of skops node that holds them.

skops asks whether a *name* is trusted. A name is not enough: `sklearn.utils._testing.check_output` is subprocess's, and
a function that skops would call while it loads a model can run any command. So each node of the file is checked before
skops sees it, against classes listed one by one in `trusted_nodes.json` (`tests/support/trusted_nodes.py` writes it).
"""

import importlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from everfit.blocks.errors import ModelError

TRUSTED_VARIABLE = "EVERFIT_TRUSTED_TYPES"
"""Names further classes and functions by their full names, separated by commas. An operator sets it, never a spec."""

_OPERATORS_KINDS = frozenset({"ObjectNode", "TypeNode", "FunctionNode"})
"""Kinds of node that an operator's own names may stand for."""
_CACHED = "CachedNode"
"""A reference to a node of the same file, which was checked where it stands."""
_FIRST_FORMAT = 0
"""skops' first format names a function twice, shows one name, and loads the other. No supported version writes it."""


def check_nodes(content: bytes) -> frozenset[str]:
    """Refuse a model file that holds anything but the listed classes.

    Args:
        content: A file that skops wrote.

    Returns:
        The names of the classes and functions that it holds.

    Raises:
        ModelError: a node is not in the list, or the file is damaged or in a format that hides what it loads.
    """
    schema = _schema(content)
    _require_format(schema)
    listed, own, names = _listed(), _operators_names(), set[str]()
    for kind, name in _nodes(schema):
        if kind == _CACHED:
            continue
        if name not in listed.get(kind, ()) and not (
            kind in _OPERATORS_KINDS and name in own and _is_defined_there(name)
        ):
            raise untrusted(name, kind)
        names.add(name)
    return frozenset(names)


def untrusted(name: str, kind: str) -> ModelError:
    """Return the error for a class or function that is not in the list.

    Args:
        name: Its full name.
        kind: Kind of the node that has it.
    """
    advice = "no training of everfit's makes such a file, so find out who has changed it, and release another version"
    if _may_be_own(name, kind):
        advice = (
            f"use plain scikit-learn parts, or, for a class or function of your own, set {TRUSTED_VARIABLE}={name} "
            f"wherever the model is trained and served"
        )
    return ModelError(f"the model holds {name!r} ({kind}), which everfit does not trust; {advice}")


def _may_be_own(name: str, kind: str) -> bool:
    """Return whether a name may be one of the user's own, and not a function of Python's or of a listed package."""
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names:
        return False
    return kind == "ObjectNode" or root not in _listed_packages()


@cache
def _listed_packages() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for names in _listed().values() for name in names) | {"joblib"}


def damaged(error: Exception) -> ModelError:
    """Return the error for a model file that can't be read.

    Args:
        error: The error of reading it.
    """
    return ModelError(
        f"the model file can't be read: {type(error).__name__}: {error}; restore it from a backup, or train again"
    )


def _require_format(schema: Any) -> None:
    written = schema.get("protocol") if isinstance(schema, dict) else None
    if type(written) is not int or written <= _FIRST_FORMAT:
        raise ModelError(
            f"the model file is in skops' format {written!r}, which can hide what it loads; save it again with a newer "
            "skops, or train again"
        )


def _schema(content: bytes) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        raise damaged(error) from error


def _nodes(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield the kind and the full class name of each node, however deep the file nests them."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__loader__" in node:
                yield str(node["__loader__"]), f"{node.get('__module__')}.{node.get('__class__')}"
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


@cache
def _listed() -> dict[str, frozenset[str]]:
    content = json.loads(files("everfit.tasks.models").joinpath("trusted_nodes.json").read_text(encoding="utf-8"))
    return {kind: frozenset(names) for kind, names in content["nodes"].items()}


def _operators_names() -> frozenset[str]:
    return frozenset(name.strip() for name in os.environ.get(TRUSTED_VARIABLE, "").split(",") if name.strip())


def _is_defined_there(name: str) -> bool:
    """Return whether a name is defined in the module that it names, and not imported into it from elsewhere."""
    module, _, attribute = name.rpartition(".")
    try:
        value = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        return False
    return getattr(value, "__module__", None) == module
