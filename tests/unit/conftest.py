"""What several unit tests ask for."""

import shutil
from pathlib import Path

import pytest

from everfit.tasks.ledger import Ledger


@pytest.fixture(scope="session")
def _empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's file; to make its tables takes longer than most tests of it."""
    path = tmp_path_factory.mktemp("empty") / "ledger.db"
    Ledger.open(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger(_empty_ledger: Path, tmp_path: Path) -> Ledger:
    """An empty ledger on SQLite."""
    path = shutil.copy(_empty_ledger, tmp_path / "ledger.db")
    return Ledger.open(f"sqlite:///{path}")


@pytest.fixture(scope="session")
def prefect_server() -> None:
    """Refuse a server: to start one takes longer than hundreds of these tests."""
    pytest.fail("tests/unit starts no server; move the test to tests/flows or tests/contract")
