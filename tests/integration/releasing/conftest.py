"""A ledger and a registry of their own, and services to be asked."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.releases import Service

from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def client(flights_registry: Any, tmp_path: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=flights_registry.copy(tmp_path))


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], dict[str, object]]], ReleasePolicy]]:
    services: list[Service] = []

    def start(answer: Callable[[], dict[str, object]]) -> ReleasePolicy:
        services.append(Service(answer))
        return ReleasePolicy(services=(services[-1].url,), verify_timeout=timedelta(seconds=0.5))

    yield start
    for service in services:
        service.stop()
