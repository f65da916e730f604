"""Which process runs which test next."""

from collections import deque
from collections.abc import Hashable, Sequence
from itertools import groupby


class Schedule:
    """Hands out files one after the other, each to one process; who finds none left takes the second half of another's.

    What a file prepares for its tests is so prepared once, and no process is idle while another has tests left.
    """

    def __init__(self, files: Sequence[str]) -> None:
        """Take the tests in the order in which they should begin.

        Args:
            files: The file of each test.
        """
        self._waiting = deque(deque(numbers) for _, numbers in groupby(range(len(files)), key=files.__getitem__))
        self._taken: dict[Hashable, deque[int]] = {}

    def next(self, process: Hashable) -> int | None:
        """Return the number of the next test for a process, or None if there is none."""
        if not self._taken.get(process):
            self._taken[process] = self._waiting.popleft() if self._waiting else self._stolen()
        return self._taken[process].popleft() if self._taken[process] else None

    def abandon(self, process: Hashable, given: int | None) -> None:
        """Let others have what a process that died had taken, and the test that it was given and has not begun."""
        left = self._taken.pop(process, deque())
        if given is not None:
            left.appendleft(given)
        if left:
            self._waiting.appendleft(left)

    def _stolen(self) -> deque[int]:
        most = max(self._taken.values(), key=len, default=deque())
        return deque(reversed([most.pop() for _ in range((len(most) + 1) // 2)]))
