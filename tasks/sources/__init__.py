"""Read a window of a source in chunks; one module per kind of source."""

from everfit.tasks.sources.chunks import FAULTS, Piece
from everfit.tasks.sources.file_state import FileMark, FileMarks
from everfit.tasks.sources.reading import read_source

__all__ = ["FAULTS", "FileMark", "FileMarks", "Piece", "read_source"]
