"""A registry with one recorded version, for the drivers that change its files."""

import os
from pathlib import Path

from support.small_model import register_small_model

from campaign.artifacts import run_artifacts
from campaign.tally import Tally
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import record_artifacts
from everfit.tasks.storage.workspace import Workspace


def changed_files(folder: Path, seed: int, changes: int) -> Tally:
    """Register a small model in an empty folder, and change its files.

    Args:
        folder: Empty folder.
        seed: Decides on the changes.
        changes: Number of changes.
    """
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    client, stored = register_small_model(folder, seed=seed), folder / "store"
    version = model_registry.model_version(client, "model", 1)
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    record_artifacts(client, ledger, Workspace(str(folder / "workspace")), version, actor="campaign", reason="test")
    return run_artifacts(client, ledger, version, stored, seed=seed, changes=changes)
