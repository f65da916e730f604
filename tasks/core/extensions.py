"""Load a user's own function: a metric, a gate check, a signal, a source, a candidate."""

import os
import sys
from collections.abc import Callable
from importlib import import_module, invalidate_caches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ExtensionError
from everfit.blocks.extensions import extension_names, is_reference


def use_own_modules() -> None:
    """Let a worker's run import the modules of the folder that it works in, before others of the same name.

    Python looks in the folder in which the process has started. A run whose deployment pulls its code changes into the
    fresh clone after that.
    """
    folder = str(Path.cwd())
    if "PREFECT__FLOW_RUN_ID" in os.environ and folder not in sys.path:
        sys.path.insert(0, folder)
        invalidate_caches()


def load_extension(reference: str, group: str | None = None) -> Callable[..., Any]:
    """Load a function that a spec names.

    Args:
        reference: `package.module:function`, or the name of an entry point of the group.
        group: The group of entry points, such as `everfit.metrics`; None if only a reference is allowed.

    Returns:
        The function, or another callable of that name.

    Raises:
        ExtensionError: The function can't be imported, is not callable, or several packages declare its name.

    Example:
        >>> load_extension("math:sqrt")(9)
        3.0
    """
    target = reference if is_reference(reference) else _entry_point(reference, group)
    module, _, name = target.partition(":")
    try:
        function = getattr(import_module(module), name)
    except Exception as error:  # importing a user's module may raise anything
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExtensionError(
            f"{reference!r} can't be imported: {cause}; check its spelling, and install its package where flows run"
        ) from error
    if not callable(function):
        raise ExtensionError(
            f"{reference!r} is of type {type(function).__name__}, not a function; name a function of {module}"
        )
    checked: Callable[..., Any] = function
    return checked


def _entry_point(name: str, group: str | None) -> str:
    if group is None:
        raise ExtensionError(f"{name!r} is not a function; write package.module:function")
    targets = {point.value for point in entry_points(group=group, name=name)}
    if len(targets) > 1:
        raise ExtensionError(
            f"{name!r} is declared by several entry points of {group}: {', '.join(sorted(targets))}; "
            f"write one of these in its place"
        )
    for target in targets:
        return target
    known = ", ".join(extension_names(group)) or "none"
    raise ExtensionError(
        f"{name!r} is not an entry point of {group} (installed: {known}); install its package where flows run, "
        f"or write package.module:function"
    )
