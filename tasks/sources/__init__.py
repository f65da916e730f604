"""Read a window of a source in chunks, with one module per kind of source."""

from everfit.tasks.sources.chunks import Chunk
from everfit.tasks.sources.file_state import FileState, FileStates
from everfit.tasks.sources.reading import read_source
from everfit.tasks.storage.values import FAULTS

__all__ = ["FAULTS", "Chunk", "FileState", "FileStates", "read_source"]
