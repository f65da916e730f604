"""A Python function as a source."""

import importlib
from collections.abc import Iterator

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import PythonSource
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Piece


def read_function(source: PythonSource, window: Window) -> Iterator[Piece]:
    """Call the function, and give what it gives.

    Raises:
        SourceError: it can't be imported, it fails, or it gives something other than frames.
    """
    module, _, name = source.function.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SourceError(
            f"source.function {source.function!r} can't be imported: {error}; check that it is installed"
        ) from error
    try:
        given = function(window.since, window.until)
        frames = iter([given]) if isinstance(given, pd.DataFrame) else iter(given)
        for frame in frames:
            if not isinstance(frame, pd.DataFrame):
                raise TypeError(f"it gave {type(frame).__name__}, not a pandas frame")
            yield Piece(source.function, frame.reset_index(drop=True).copy())
    except GeneratorExit:
        raise
    except SourceError:
        raise
    except Exception as error:  # the user's own code may raise anything
        told = (str(error) or "no message").splitlines()[0]
        raise SourceError(f"{source.function!r} failed with {type(error).__name__}: {told}") from error
