"""Worlds to decide in: rows by window, in which quality is lost in different ways, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

START, WEEK = datetime(2022, 1, 3, tzinfo=UTC), timedelta(days=7)
PAST, COLUMNS = 12, 6
"""Windows before the first turn; numeric columns."""
WEIGHTS = np.array([1.4, -1.0, 0.8, 0.5, 0.0, 0.0])


@dataclass(frozen=True)
class World:
    """A world.

    Attributes:
        weights: Of the columns in a window, counted from the first watched one.
        means: Of the columns in a window.
        rows: Number of rows in a window.
        windows: Number of watched windows.
        base: Log odds of the label, or its mean, in a window.
        regression: Whether the label is a number.
        shared: Standard deviation of an effect that all rows of a day share.
        late_days: Days until the label is known.
    """

    weights: Callable[[int], Floats] = lambda _: WEIGHTS
    means: Callable[[int], Floats] = lambda _: np.zeros(COLUMNS)
    rows: int = 700
    windows: int = 20
    base: Callable[[int], float] = lambda _: 0.0
    regression: bool = False
    shared: float = 0.0
    late_days: float = 0.5

    def window(self, number: int) -> tuple[datetime, datetime]:
        """Return the start and the end of a window; those before the first watched one have negative numbers."""
        since = START + (PAST + number) * WEEK
        return since, since + WEEK

    def make(self, number: int) -> pd.DataFrame:
        """Return the rows of a window: `id`, `at`, `known_at`, the columns and `y`."""
        random = np.random.default_rng(1_000 + number)
        at = pd.Timestamp(self.window(number)[0]) + pd.to_timedelta(np.sort(random.uniform(0, 7, self.rows)), unit="D")
        x = random.normal(size=(self.rows, COLUMNS)) + self.means(number)
        day = np.asarray((at - at[0]).days)
        signal = x @ self.weights(number) + self.base(number) + self.shared * random.normal(size=8)[day]
        label: Any
        if self.regression:
            label = signal + random.normal(size=self.rows)
        else:
            label = (random.random(self.rows) < 1 / (1 + np.exp(-signal))).astype(float)
        frame = pd.DataFrame({f"x{place}": x[:, place].round(4) for place in range(COLUMNS)})
        known = at + pd.Timedelta(days=self.late_days)
        ids = [f"{number}-{row}" for row in range(self.rows)]
        return frame.assign(id=ids, at=at.floor("s").as_unit("us"), known_at=known.floor("s").as_unit("us"), y=label)


def _towards(number: int, start: int, windows: int) -> float:
    """Return a share that rises from 0 to 1 over some windows."""
    return float(np.clip((number - start) / windows, 0, 1))


JUMP = np.array([0.0, 0.0, 0.5, 0.5, 3.0, 3.0])

WORLDS = {
    "nothing happens": World(),
    "sudden: the concept turns": World(weights=lambda n: WEIGHTS * (1 if n < 6 else -1)),
    "gradual: the concept moves over ten windows": World(
        weights=lambda n: WEIGHTS * (1 - _towards(n, 4, 10)) + np.roll(WEIGHTS, 2) * _towards(n, 4, 10)
    ),
    "recurring: two concepts, five windows each": World(
        weights=lambda n: np.roll(WEIGHTS, 2 * ((n // 5) % 2)),
    ),
    "seasonal: the inputs go round, the concept stays": World(
        means=lambda n: 1.5 * np.sin(2 * np.pi * n / 13) * np.ones(COLUMNS)
    ),
    "label shift: the label becomes rare": World(base=lambda n: -2.0 * (n >= 6)),
    "covariate shift: columns jump, the model stays right": World(means=lambda n: JUMP * (n >= 5)),
    "rows of a day hang together": World(shared=1.0),
    "tiny windows": World(rows=90, weights=lambda n: WEIGHTS * (1 if n < 6 else -1)),
    "late labels: the concept turns": World(late_days=10, weights=lambda n: WEIGHTS * (1 if n < 6 else -1)),
    "regression whose relation keeps changing": World(
        regression=True, weights=lambda n: np.roll(WEIGHTS, n // 4) if n >= 0 else WEIGHTS
    ),
}
