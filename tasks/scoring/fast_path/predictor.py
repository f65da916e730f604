"""scikit-learn's predictor of one tree without the rest of scikit-learn.

It is compiled code that needs nothing of the packages that it is in. Their `__init__` modules import SciPy and all
estimators, for half a second and sixty megabytes.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from everfit.tasks.scoring.fast_path.private_attributes import PREDICTOR


@cache
def predictor_alone() -> Callable[..., None]:
    """Return the predictor; a later import of scikit-learn finds everything as if this had not been called.

    Raises:
        ImportError: scikit-learn has none in its usual place, or is not installed.
    """
    module, name = PREDICTOR
    with _without_their_code((*_parents(module), "sklearn.utils")):
        try:
            predict: Callable[..., None] = getattr(importlib.import_module(module), name)
        except AttributeError as error:
            raise ImportError(f"{module} has no {name}") from error
    return predict


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


@contextmanager
def _without_their_code(packages: tuple[str, ...]) -> Iterator[None]:
    """Let packages that are not imported yet be found without running them, and forget them afterwards."""
    found = importlib.util.find_spec(packages[0])
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"{packages[0]} is not installed")
    root, made = Path(found.submodule_search_locations[0]), []
    for package in packages:
        if package not in sys.modules:
            empty = ModuleType(package)
            empty.__path__ = [str(root.joinpath(*package.split(".")[1:]))]
            sys.modules[package] = empty
            made.append(package)
    try:
        yield
    finally:
        for package in made:
            del sys.modules[package]
