"""A place of its own for each policy that is lived through: workspace, ledger, tracking store and Prefect.

Nothing in it has an address of the real ones. The process of a policy gets its environment from here.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.secrets import reveal
from everfit.tasks.core.spec_secrets import put, secrets_of
from everfit.tasks.rehearsal.plan import as_rehearsed
from everfit.tasks.storage.workspace import Workspace

WORKSPACE, SPEC_FILE, LOG = "workspace", "spec.yaml", "log.txt"

_KEPT = frozenset({"EVERFIT_TRUSTED_TYPES", "EVERFIT_LOG_LEVEL", "EVERFIT_COMMIT"})
"""Variables of everfit that lead nowhere."""
_LEADS_OUT = ("EVERFIT_", "PREFECT_", "MLFLOW_")
_SECRET = "EVERFIT_REHEARSAL_SECRET_"  # noqa: S105 - the name of a variable


def environment(folder: Path, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment in which a policy is lived through.

    Args:
        folder: The folder of the policy.
        given: The environment of this process. The variables of everfit, Prefect and MLflow are left out, except for
            those that lead nowhere.
    """
    kept = {name: value for name, value in given.items() if name in _KEPT or not name.startswith(_LEADS_OUT)}
    home = folder.absolute() / "prefect"
    return kept | {
        "EVERFIT_PAGES": "false",
        "EVERFIT_WORKSPACE": str(folder.absolute() / WORKSPACE),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder.absolute() / WORKSPACE / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "everfit",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
    }


def folder_of(root: Path, policy: str) -> Path:
    """Return the folder of a policy.

    Args:
        root: The folder of the rehearsal.
        policy: Name of the policy.
    """
    return root / "lives" / (re.sub(r"[^a-z0-9]+", "-", policy.lower()).strip("-") or "policy")


def prepare_folder(folder: Path, spec: ModelSpec, real: Workspace) -> None:
    """Make the folder of a policy, with the spec as it is lived through; one that is there already is kept.

    Args:
        folder: The folder of the policy.
        spec: The spec of the policy. Its secrets are written nowhere; the spec in the folder names variables.
        real: The real workspace, whose deleted keys hold here too. Nothing else of it is read, and nothing written.
    """
    (folder / WORKSPACE).mkdir(parents=True, exist_ok=True)
    (folder / "prefect").mkdir(exist_ok=True)
    content = as_rehearsed(spec.content())
    for name, (path, _) in _named_secrets(spec).items():
        put(content, path, f"env:{name}")
    (folder / SPEC_FILE).write_text(yaml.safe_dump(content), encoding="utf-8")
    copy_deleted_keys(real, Workspace(str(folder / WORKSPACE)), spec.name)


def secret_variables(spec: ModelSpec) -> dict[str, str]:
    """Return the variables that the spec in a policy's folder names, with the secrets of the sources.

    Args:
        spec: The spec of the policy.
    """
    return {name: reveal(secret, ".".join(map(str, path))) for name, (path, secret) in _named_secrets(spec).items()}


def _named_secrets(spec: ModelSpec) -> dict[str, Any]:
    found = [*secrets_of(spec.source, ("source",)), *secrets_of(spec.joins, ("joins",))]
    return {f"{_SECRET}{number}": secret for number, secret in enumerate(found)}


def remove(folder: Path) -> None:
    """Delete what a policy has left."""
    shutil.rmtree(folder, ignore_errors=True)


def copy_deleted_keys(real: Workspace, ours: Workspace, model: str) -> None:
    """Copy the deleted keys of a model, whose rows must not come in again here either.

    Args:
        real: The real workspace.
        ours: That of a policy.
        model: Name of the model.
    """
    folder, filesystem = real.file(model, "deleted-keys"), real.filesystem
    if not filesystem.exists(folder):
        return
    for path in filesystem.ls(folder, detail=False):
        name = str(path).rpartition("/")[2]
        ours.write(ours.file(model, "deleted-keys", name), real.read(f"{folder}/{name}"))
