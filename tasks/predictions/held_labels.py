"""The labels of a look: one pass over the table serves all questions about the rows of its windows.

A look asks for labels several times: to find the window that is judged, to judge it, to count what no turn has learned
from, and to follow how long labels take. Each question read the whole table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import current_spread
from everfit.tasks.predictions.key_draw import MOST
from everfit.tasks.storage.table_parts import TablePart, table_parts
from everfit.tasks.storage.tables import DAY, KEY, Table

Keys = npt.NDArray[np.int64]
Held = tuple["pd.Index[int]", pd.DataFrame]

_MOST_LABELS = 4 * MOST
"""With more labels of the held keys, such as many corrections, nothing is held."""


@dataclass(frozen=True)
class AskedRows:
    """The rows of the prediction log whose labels a look may ask for.

    Attributes:
        log: The prediction log.
        event_time: Column of the event time.
        windows: Spans of event time, the widest first; the first with at most a million rows is held.
        label_time: Column of the labels' time.
        until: Labels that became known later are not read.
    """

    log: Table
    event_time: str
    windows: Sequence[Window]
    label_time: str
    until: datetime


@dataclass(frozen=True)
class HeldLabels(Table):
    """The table of labels, with those of some rows in memory from the first question on.

    Attributes:
        asked: The rows.
    """

    asked: AskedRows | None = None

    def of(self, keys: "pd.Index[int]", until: datetime) -> pd.DataFrame | None:
        """Return all labels of some keys by a moment, in the order of the table; None if they are not in memory.

        Args:
            keys: Hashes of the keys, each once.
            until: The moment.
        """
        if self.asked is None or until != self.asked.until or self._held is None:
            return None
        held, rows = self._held
        if (held.get_indexer(keys) < 0).any():
            return None
        return rows[keys.get_indexer(pd.Index(rows[KEY])) >= 0]

    def __reduce__(self) -> "tuple[Callable[[Table, AskedRows | None], HeldLabels], tuple[Table, AskedRows | None]]":
        """Pickle the request instead of the labels: workers read the table."""
        return holding, (self.table, self.asked)

    @property
    def table(self) -> Table:
        """The table, without labels in memory."""
        return Table(**_fields_of(self))

    @cached_property
    def _held(self) -> Held | None:
        assert self.asked is not None  # noqa: S101 - `of` has looked
        asked, window = self.asked, self._window()
        if window is None:
            return None
        logged = current_spread()(_keys_of_part, (asked.log, window, asked.event_time), table_parts(asked.log, window))
        keys = pd.Index(np.unique(np.concatenate([np.empty(0, dtype=np.int64), *logged])))
        # The window excludes its end, but a label that becomes known at exactly that moment counts.
        span = Window(until=(pd.Timestamp(asked.until) + pd.Timedelta(microseconds=1)).to_pydatetime())
        table = self.table
        frames, count = [], 0
        for part in current_spread()(_labels_of_part, (table, span, asked.label_time, keys), table_parts(table, span)):
            frames += part
            count += sum(map(len, part))
            if count > _MOST_LABELS:
                return None
        return (keys, pd.concat(frames, ignore_index=True)) if frames else None

    def _window(self) -> Window | None:
        assert self.asked is not None  # noqa: S101 - `of` has looked
        for window in self.asked.windows:
            if sum(part.rows for part in table_parts(self.asked.log, window)) <= MOST:
                return window
        return None


def holding(table: Table, asked: AskedRows | None) -> HeldLabels:
    """Return a table of labels that holds those of some rows.

    Args:
        table: The table.
        asked: The rows.
    """
    return HeldLabels(**_fields_of(table), asked=asked)


def _fields_of(table: Table) -> dict[str, Any]:
    return {field.name: getattr(table, field.name) for field in fields(Table)}


def held_of(table: Table, keys: "pd.Index[int] | None", until: datetime) -> pd.DataFrame | None:
    """Return the labels of some keys if a look holds them, as `HeldLabels.of`; None if the table has to be read."""
    return table.of(keys, until) if isinstance(table, HeldLabels) and keys is not None else None


def _keys_of_part(asked: tuple[Table, Window, str], part: TablePart) -> Keys:
    log, window, event_time = asked
    keys = [chunk[KEY].to_numpy(dtype=np.int64) for chunk in part.batches(log, window, event_time, [KEY])]
    return np.concatenate([np.empty(0, dtype=np.int64), *keys])


def _labels_of_part(asked: "tuple[Table, Window, str, pd.Index[int]]", part: TablePart) -> list[pd.DataFrame]:
    table, span, time, keys = asked
    columns = [name for name in table.columns(part.version) if name != DAY]
    chunks = part.batches(table, span, time, columns)
    return [chunk[keys.get_indexer(pd.Index(chunk[KEY])) >= 0] for chunk in chunks]
