"""Which files were read, so that one is read once and a change of it is noticed."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record


class FileState(Record):
    """A file as it was when it was read."""

    identity: str = Field(description="Its size and its time of change, entity tag or content digest.")
    newest: AwareDatetime | None = Field(description="Event time of its last row; None when it isn't known.")
    read_until: AwareDatetime = Field(description="The end of the window that it was read for.")

    def exhausted(self, *, timed: bool) -> bool:
        """Whether each of its rows was taken when it was read; rows without event times always are."""
        return not timed or (self.newest is not None and self.newest < self.read_until)


@dataclass
class FileStates:
    """The files read earlier, and those read now.

    Attributes:
        known: By path, of batches that were accepted.
        found: By path, of the batch that is being read.
    """

    known: dict[str, FileState] = field(default_factory=dict)
    found: dict[str, FileState] = field(default_factory=dict)

    def is_done(self, path: str, identity: str, *, timed: bool) -> bool:
        """Whether the file is as it was, and nothing in it is left to be read."""
        mark = self.known.get(path)
        return mark is not None and mark.identity == identity and mark.exhausted(timed=timed)

    def note(self, path: str, identity: str, newest: datetime | None, until: datetime) -> None:
        """Remember a file that has been read to its end."""
        self.found[path] = FileState(identity=identity, newest=newest, read_until=until)
