"""Lines of a file that can't be read: the good rows go on, and these are set aside with their reasons."""

from dataclasses import dataclass, field

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.tasks.storage.values import FAULTS

_MOST = 0.5
"""If at least this share of the lines is broken, the settings are wrong, not the lines."""

_SHOWN = 80


@dataclass
class BrokenLines:
    """The broken lines of a file.

    Attributes:
        reasons: The fault of each line, and its text.
        unclosed: The first that goes on over the end of its line, so that good rows may be in it: its number, and how
            many lines it takes.
    """

    reasons: list[str] = field(default_factory=list)
    unclosed: tuple[int | None, int] | None = None

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.reasons)

    def clear(self) -> None:
        """Forget the lines, to read the file again."""
        self.reasons.clear()
        self.unclosed = None

    def add(self, number: int | None, what: str, text: str) -> None:
        """Add a line.

        Args:
            number: Its number in the file, from 1; None if it isn't known.
            what: The fault in words.
            text: The line.
        """
        if (lines := text.strip("\r\n").count("\n") + 1) > 1:
            self.unclosed = self.unclosed or (number, lines)
        line = "a line" if number is None else f"line {number:,}"
        shown = text.rstrip("\r\n")
        self.reasons.append(f"{line} {what}: {shown[:_SHOWN] + ('…' if len(shown) > _SHOWN else '')!r}; ")

    def take(self, found: "BrokenLines", read: int, where: str) -> None:
        """Take the lines that were found in a file that was read to its end.

        Args:
            found: The broken lines.
            read: The number of good rows.
            where: Name of the file for error messages.

        Raises:
            SourceError: If half of the lines are broken, or one has taken others in.
        """
        if found.unclosed is not None:
            number, taken = found.unclosed
            line = "a line" if number is None else f"line {number:,}"
            raise SourceError(
                f"{where}: a quotation mark of {line} takes in {taken:,} lines, and they are no row; "
                f"close it, or double it if it belongs to the text"
            )
        lines = len(found.reasons) + read
        if len(found.reasons) >= _MOST * lines:
            raise SourceError(
                f"{where}: {len(found.reasons):,} of {lines:,} lines can't be read, such as "
                f"{found.reasons[0].removesuffix('; ')}; is its first line the header? Repair the file, or set "
                f"source.delimiter"
            )
        self.reasons += found.reasons

    def rows(self, like: pd.DataFrame) -> pd.DataFrame:
        """Return a row without values for each line, with its reason in `_faults`.

        Args:
            like: Good rows, for the names and types of the columns.
        """
        blank = like.iloc[:0].reindex(range(len(self.reasons)))
        return blank.assign(**{FAULTS: pd.array(self.reasons, dtype="str")})
