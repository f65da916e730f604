"""Files of a source, and all that a source reads from them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources import read_source

ROLES = ColumnRoles(key=("id",), event_time="at", target="y")
ALL = Window(until=datetime(2030, 1, 1, tzinfo=UTC))
CSV = "id,at,name,y\n1,2024-01-01,one,0.5\n2,2024-01-02T06:00:00Z,two,1.5\n"


def read(path: Path, roles: ColumnRoles = ROLES, window: Window = ALL, **options: Any) -> pd.DataFrame:
    source = FilesSource(path=str(path), **options)
    frames = [piece.frame for piece in read_source(source, roles, window)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def written(tmp_path: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
