"""everfit keeps machine-learning models fit for use: reusable Prefect tasks, flows and blocks.

`everfit.tasks` has the steps of the loop, `everfit.flows` the flows made of them, `everfit.blocks` their configuration.
"""

from importlib import import_module, metadata
from types import ModuleType

from everfit.tasks.core.cores import fit_threads

fit_threads()  # before a numeric library is imported

__all__ = ["__version__", "blocks", "flows", "tasks"]

__version__ = metadata.version("everfit")

_PARTS = frozenset({"blocks", "flows", "tasks"})


def __getattr__(name: str) -> ModuleType:
    """Import a part when it is first used, so that `import everfit` stays light."""
    if name in _PARTS:
        return import_module(f"everfit.{name}")
    raise AttributeError(f"module 'everfit' has no attribute {name!r}; it has {', '.join(__all__)}")
