"""What several unit tests ask for."""

from pathlib import Path

import pytest

from everfit.tasks.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger on SQLite."""
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture(scope="session")
def prefect_server() -> None:
    """Refuse a server: to start one takes longer than hundreds of these tests."""
    pytest.fail("tests/unit starts no server; move the test to tests/flows or tests/contract")
