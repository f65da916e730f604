"""Read the frames of a Python function as a source."""

from collections.abc import Iterator

import pandas as pd

from everfit.blocks.errors import ExtensionError, SourceError
from everfit.blocks.extensions import SOURCES_GROUP
from everfit.blocks.sources import PythonSource
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Chunk


def _plain(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a copy with an index from 0 and names that are texts; levels of the index with a name become columns.

    Raises:
        SourceError: If a name occurs twice, or names have several levels.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        raise SourceError(f"{where!r}: the column names have {frame.columns.nlevels} levels; join them into one")
    levels = {
        name: frame.index.get_level_values(position)
        for position, name in enumerate(frame.index.names)
        if name is not None and name not in frame.columns
    }
    plain = frame.reset_index(drop=True).copy()
    for position, (name, values) in enumerate(levels.items()):
        plain.insert(position, name, values)
    plain.columns = pd.Index([str(name) for name in plain.columns])
    if plain.columns.has_duplicates:
        twice = plain.columns[plain.columns.duplicated()][0]
        raise SourceError(f"{where!r} has the column {twice!r} twice; give each column its own name")
    return plain


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
            yield Chunk(source.function, _plain(frame, source.function))
    except GeneratorExit:
        raise
    except SourceError:
        raise
    except Exception as error:  # the user's own code may raise anything
        message = (str(error) or "no message").splitlines()[0]
        raise SourceError(f"{source.function!r} failed with {type(error).__name__}: {message}") from error
