"""What several unit tests ask for."""

from pathlib import Path

import pytest

from everfit.tasks.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger on SQLite."""
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
