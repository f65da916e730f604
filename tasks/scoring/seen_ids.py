"""Remember ids of predictions in eight bytes each, where a set of texts takes a hundred and fifty."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]


class SeenIds:
    """Ids of predictions that one version made at one time; their second halves identify them.

    They are kept in sorted runs, each more than twice as long as the next, so adding many in chunks stays cheap.
    """

    def __init__(self) -> None:
        self._runs: list[Numbers] = []

    def take(self, ids: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Add ids.

        Args:
            ids: UUIDs as text.

        Returns:
            Whether each id is new; shape (ids,).
        """
        numbers = np.array([int(text[19:23] + text[24:], 16) for text in ids], dtype=np.uint64)
        fresh = np.zeros(len(numbers), dtype=np.bool_)
        fresh[np.unique(numbers, return_index=True)[1]] = True
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, numbers), len(run) - 1)
            fresh &= run[places] != numbers
        self._add(np.sort(numbers[fresh]))
        return fresh

    def _add(self, run: Numbers) -> None:
        if not len(run):
            return
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
