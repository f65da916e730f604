"""A model whose dataset has booleans."""

from pathlib import Path

import pytest
from support.turns import Loop
from support.ways_in import SPEC, UNTIL, table_of, write


@pytest.fixture
def members(tmp_path: Path) -> Loop:
    rows = table_of("numbers", ["price", "member"], 60)
    rows["y"] = rows["y"] == 1
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", "parquet", rows))
    loop.turn(UNTIL)
    return loop
