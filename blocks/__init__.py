"""Configuration and connections: Prefect blocks, the policies nested in them, settings.

The blocks import Prefect, which takes a second, so they are loaded on first use; policies and settings don't need it.
If Prefect is loaded already, as when it loads its collections, the blocks are loaded at once.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfit.blocks.spec import ModelSpec

__all__ = ["ModelSpec"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from everfit.blocks import spec

    return getattr(spec, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "prefect" in sys.modules:
    __getattr__("ModelSpec")
