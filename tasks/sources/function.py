"""Read the frames of a Python function as a source."""

from collections.abc import Iterator

import pandas as pd

from everfit.blocks.errors import ExtensionError, SourceError
from everfit.blocks.extensions import SOURCES_GROUP
from everfit.blocks.sources import PythonSource
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Chunk


def read_function(source: PythonSource, window: Window) -> Iterator[Chunk]:
    """Call the function and yield its frames.

    Raises:
        SourceError: The function can't be imported, fails, or returns something other than frames.
    """
    try:
        function = load_extension(source.function, SOURCES_GROUP)
    except ExtensionError as error:
        raise SourceError(f"source.function: {error}") from error
    try:
        result = function(window.since, window.until)
        frames = iter([result]) if isinstance(result, pd.DataFrame) else iter(result)
        for frame in frames:
            if not isinstance(frame, pd.DataFrame):
                raise TypeError(f"it returned {type(frame).__name__}, not a pandas frame")
            yield Chunk(source.function, frame.reset_index(drop=True).copy())
    except GeneratorExit:
        raise
    except SourceError:
        raise
    except Exception as error:  # the user's own code may raise anything
        message = (str(error) or "no message").splitlines()[0]
        raise SourceError(f"{source.function!r} failed with {type(error).__name__}: {message}") from error
