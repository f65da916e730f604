"""How a spec names a user's own function: `package.module:function`, or the name of an entry point."""

import re
from importlib.metadata import entry_points
from typing import Annotated

from pydantic import StringConstraints

METRICS_GROUP = "everfit.metrics"
GATE_CHECKS_GROUP = "everfit.gate_checks"
SIGNALS_GROUP = "everfit.signals"
SOURCES_GROUP = "everfit.sources"

_REFERENCE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")

FunctionReference = Annotated[str, StringConstraints(pattern=_REFERENCE.pattern)]
"""`package.module:function`."""

ExtensionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*((\.[A-Za-z_]\w*)*:[A-Za-z_]\w*|([.-]\w+)*)$")]
"""`package.module:function`, or the name of an entry point, such as `profit`."""


def is_reference(name: str) -> bool:
    """Whether a name is `package.module:function`, and not that of an entry point.

    Example:
        >>> is_reference("shop.metrics:profit"), is_reference("profit")
        (True, False)
    """
    return _REFERENCE.fullmatch(name) is not None


def extension_names(group: str) -> tuple[str, ...]:
    """Return the names of the entry points that installed packages declare in a group, sorted.

    Args:
        group: Such as `everfit.metrics`.
    """
    return tuple(sorted({point.name for point in entry_points(group=group)}))
