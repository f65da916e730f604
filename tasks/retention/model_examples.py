"""Replace the input examples of versions that were registered with rows of their training data.

Earlier versions of everfit logged five rows of the training data with a model, without their key. So nobody can say
whose rows they are, and all of them go.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import MODEL_PREFIX, Digests, file_digest
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.logged_model import EXAMPLE_KEY, MADE_UP, LoggedModel
from everfit.tasks.models.run_files import download_run_files
from everfit.tasks.monitoring.reference import PROFILE_FILE
from everfit.tasks.registry import artifact_records, model_registry
from everfit.tasks.scoring.loading import fetch
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.turns.context import Context

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REASON = "rows of the training data in the input example were replaced by made-up values"


@dataclass(frozen=True)
class ReplacedExamples:
    """The outcome for the input examples of all versions.

    Attributes:
        replaced: Versions whose example is made up now.
        left: A description of each version whose example could not be replaced.
    """

    replaced: tuple[int, ...]
    left: tuple[str, ...]


def replace_examples(context: Context, by: str) -> ReplacedExamples:
    """Replace the rows of training data in the input examples of all versions; safe to repeat.

    The ledger gets the new digests first. If this is killed in between, the next run writes the files again.

    Args:
        context: The model.
        by: Name of the person who requests it.
    """
    from mlflow.exceptions import MlflowException

    name, client = context.spec.name, context.mlflow
    replaced, left = [], []
    for number in model_registry.versions(client, name):
        version = model_registry.model_version(client, name, number)
        with TemporaryDirectory(prefix="everfit-example-") as folder:
            try:
                if changed := _made_up_files(context, version, Path(folder)):
                    _write_files(context, version, changed, by)
                    replaced.append(number)
            except (EverfitError, MlflowException, OSError, ValueError) as error:
                # One version that can't be read must not keep the rows of the key in all others.
                left.append(f"version {number}: {type(error).__name__}: {error}")
    return ReplacedExamples(tuple(replaced), tuple(left))


def _made_up_files(context: Context, version: ModelVersion, folder: Path) -> list[Path]:
    """Write the files that must replace those of a version; empty if its example is made up already."""
    copy = fetch(context.mlflow, version, folder, partial(_check, context))
    described = LoggedModel.read(copy)
    info = described.content.get("saved_input_example_info") or {}
    if described.metadata.get(EXAMPLE_KEY) == MADE_UP or not info:
        return []
    record = InputSchema.of_model(described, "regression").example(_typical(context.mlflow, version, folder))
    content: dict[str, Any] = {"columns": list(record), "data": [list(record.values())]}
    files: dict[str, dict[str, Any]] = {str(info.get("artifact_path")): content}
    if info.get("serving_input_path"):
        files[str(info["serving_input_path"])] = {"dataframe_split": content}
    changed = []
    for name, wanted in files.items():
        place = copy / Path(name).name
        if json.loads(place.read_text(encoding="utf-8")) != wanted:
            place.write_text(json.dumps(wanted), encoding="utf-8")
            changed.append(place)
    return changed


def _check(context: Context, version: ModelVersion, found: Digests) -> None:
    """Refuse files that were never recorded, so that a changed file does not become a recorded one.

    A run that was killed between the record and the file leaves a file that an earlier record has.
    """
    history = context.ledger.artifacts.history(version)
    recorded = {(name, digest) for entry in history for name, digest in entry.files.items()}
    if history and not set(found.items()) <= recorded:
        context.ledger.artifacts.check(version, found)


def _typical(client: "MlflowClient", version: ModelVersion, folder: Path) -> dict[str, float | str]:
    """Return typical values from the version's reference; none without one."""
    from mlflow.exceptions import MlflowException

    try:
        path = download_run_files(client, version.run_id, PROFILE_FILE, folder)
    except (MlflowException, OSError):
        return {}
    profile = Profile.model_validate_json(path.read_text(encoding="utf-8"))
    means: dict[str, float | str] = {one.name: one.mean for one in profile.columns if one.mean is not None}
    return means | {one.name: one.categories[0] for one in profile.columns if one.categories}


def _write_files(context: Context, version: ModelVersion, changed: Sequence[Path], by: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client, artifacts = context.mlflow, context.ledger.artifacts
    if artifacts.find(version) is not None:
        digests = {f"{MODEL_PREFIX}{path.name}": file_digest(path) for path in changed}
        recorded = artifacts.amend(version, digests, actor=by, reason=_REASON)
        artifact_records.publish(client, context.workspace, version, recorded.files)
    registered = client.get_model_version(version.model, str(version.version))
    uri = client.get_model_version_download_uri(version.model, str(version.version))
    for path in changed:
        if registered.model_id:
            client.log_model_artifact(registered.model_id, str(path))
        else:
            get_artifact_repository(uri, client.tracking_uri).log_artifact(str(path))  # type: ignore[no-untyped-call]
