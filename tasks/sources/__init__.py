"""Reading a window of a source, piece by piece: one module a kind."""

from everfit.tasks.sources.marks import FileMark, FileMarks
from everfit.tasks.sources.pieces import FAULTS, Piece
from everfit.tasks.sources.reading import read_source

__all__ = ["FAULTS", "FileMark", "FileMarks", "Piece", "read_source"]
