"""What a source gives of the sales of some days, whatever kind of source it is."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from everfit.blocks.sources import Source
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources import read_source

ROLES = ColumnRoles(key=("id",), event_time="at", target="y")
JANUARY = Window(since=datetime(2024, 1, 5, tzinfo=UTC), until=datetime(2024, 1, 10, tzinfo=UTC))
INSIDE = 5 * 24


def read(source: dict[str, Any], window: Window = JANUARY, roles: ColumnRoles = ROLES) -> pd.DataFrame:
    result: Any = TypeAdapter(Source).validate_python(source)
    return pd.concat([piece.frame for piece in read_source(result, roles, window)], ignore_index=True)


def check(frame: pd.DataFrame) -> None:
    assert frame["id"].tolist() == list(range(96, 96 + INSIDE))
    assert frame["at"].min() == pd.Timestamp(JANUARY.since)
