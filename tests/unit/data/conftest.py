"""A model and its workspace, for tests of ingestion."""

from pathlib import Path

import pytest
from support.turns import Loop


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)
