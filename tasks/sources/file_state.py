"""Remember which files were read, so that each is read once and again only after a change."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record


class FileState(Record):
    """A file as it was when it was read."""

    identity: str = Field(description="The file's size with its modification time, entity tag or content digest.")
    newest: AwareDatetime | None = Field(description="Event time of its last row; None if unknown.")
    read_until: AwareDatetime = Field(description="End of the window that it was read for.")

    def exhausted(self, *, timed: bool) -> bool:
        """Return whether every row was taken when the file was read; rows without event times always are."""
        return not timed or (self.newest is not None and self.newest < self.read_until)


@dataclass
class FileStates:
    """Files that were read in earlier batches and in the current one.

    Attributes:
        earlier: Files of accepted batches, by path.
        current: Files of the batch that is being read, by path.
        renamed: The name in the source of each column that is read under another one.
        left_out: Columns that no model can use, each with the reason.
        unread: Files of the source that look like data and that can't be read.
        empty: Files without a byte beside others; they are read when they have rows.
        broken: The number of lines that can't be read, by file.
        mixed_zones: Columns of which some times have a zone and others don't.
        later: Files that are new and have only rows after the window.
        outdone: Folders such as `region=north` whose column a file has itself, with other values.
    """

    earlier: dict[str, FileState] = field(default_factory=dict)
    current: dict[str, FileState] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    later: list[str] = field(default_factory=list)
    outdone: set[str] = field(default_factory=set)
    mixed_zones: set[str] = field(default_factory=set)

    def remarks(self) -> list[str]:
        """Return what people should know of how the files were read, one sentence each."""
        return [
            *(
                f"the column {own!r} {'comes again, and ' if other.startswith(f'{own}_') else ''}is read as {other!r}"
                for other, own in sorted(self.renamed.items())
            ),
            *(
                f"{name!r} looks like data, and everfit can't read its format; unpack or convert it"
                for name in self.unread
            ),
            *(f"{name!r} is empty, so it is passed over" for name in self.empty),
            *_later_note(self.later),
            *(
                f"the folder {name!r} says other than the column of its files; the column counts"
                for name in sorted(self.outdone)
            ),
            *map(mixed_zones_note, sorted(self.mixed_zones)),
            *(
                f"{lines:,} line{'' if lines == 1 else 's'} of {name!r} can't be read"
                for name, lines in sorted(self.broken.items())
            ),
        ]

    def is_done(self, path: str, identity: str, *, timed: bool) -> bool:
        """Return whether the file is unchanged and has no unread rows."""
        state = self.earlier.get(path)
        return state is not None and state.identity == identity and state.exhausted(timed=timed)

    def add(self, path: str, identity: str, newest: datetime | None, until: datetime, *, is_used: bool) -> None:
        """Remember a file that was read to its end, and whether rows of it were used now or earlier."""
        if newest is not None and newest >= until and not is_used:
            self.later.append(path)
        self.current[path] = FileState(identity=identity, newest=newest, read_until=until)


def _later_note(files: list[str]) -> list[str]:
    if not files:
        return []
    more = len(files) - 1
    others = f" and {more:,} other file{'' if more == 1 else 's'} have" if more else " has"
    return [f"{files[0]!r}{others} only rows after this moment, which are not used yet"]


def mixed_zones_note(column: str) -> str:
    """Return what people should know of a column of which some times have a zone and others don't."""
    return f"some times of {column!r} have a zone and others don't; those without one are taken as UTC"
