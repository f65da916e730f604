"""Configuration and connections: Prefect blocks, the policies nested in them, settings.

The blocks import Prefect, which takes a second, so they are loaded on first use; policies and settings don't need it.
If Prefect is loaded already, as when it loads its collections, the blocks are loaded at once.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfit.blocks.notification_address import NotificationAddress
    from everfit.blocks.spec import ModelSpec

_MODULES = {"ModelSpec": "spec", "NotificationAddress": "notification_address"}

__all__ = ["ModelSpec", "NotificationAddress"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"everfit.blocks.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "prefect" in sys.modules:
    for block in __all__:
        __getattr__(block)
