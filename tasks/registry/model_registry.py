"""The model registry: MLflow's versions and aliases, as everfit uses them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
    from mlflow.store.entities import PagedList
    from sklearn.pipeline import Pipeline

CHAMPION, CHALLENGER = "champion", "challenger"
TRAINED_UNTIL_TAG, SNAPSHOT_TAG = "everfit.trained_until", "everfit.snapshot"

_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""MLflow's answers when a model, a version or an alias isn't there; which one depends on the store."""


def champion(client: "MlflowClient", model: str) -> ModelVersion | None:
    """The version that the champion alias names, if it names one."""
    return by_alias(client, model, CHAMPION)


def challenger(client: "MlflowClient", model: str) -> ModelVersion | None:
    """The version that the challenger alias names, if it names one."""
    return by_alias(client, model, CHALLENGER)


def by_alias(client: "MlflowClient", model: str, alias: str) -> ModelVersion | None:
    """The version that an alias names, if it names one."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version_by_alias(model, alias))
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise ModelError(f"the registry did not say what the {alias} of {model!r} is: {error.message}") from error


def model_version(client: "MlflowClient", model: str, version: int) -> ModelVersion:
    """The version of that number.

    Raises:
        ModelError: the model has no such version, or the registry doesn't answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version(model, str(version)))
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise ModelError(f"the registry did not answer about {model!r} {version!r}: {error.message}") from error
        there = versions(client, model)
        has = f"it has {', '.join(map(str, there))}" if there else "it has none yet"
        raise ModelError(f"model {model!r} has no version {version!r}; {has}") from error


def names(client: "MlflowClient") -> list[str]:
    """The names of all registered models, in order."""
    found = _all(lambda page: client.search_registered_models(page_token=page), "which models it has")
    return sorted(entry.name for entry in found)


def versions(client: "MlflowClient", model: str) -> list[int]:
    """The numbers of the versions that a model has, lowest first."""
    of_model = f"name = '{model}'"
    found = _all(lambda page: client.search_model_versions(of_model, page_token=page), f"which versions {model!r} has")
    return sorted(int(entry.version) for entry in found)


def _all(search: "Callable[[str | None], PagedList[Any]]", asked: str) -> list[Any]:
    """What all pages of a search hold."""
    from mlflow.exceptions import MlflowException

    found: list[Any] = []
    page: str | None = None
    try:
        while True:
            entries = search(page)
            found += entries
            page = entries.token
            if not page:
                return found
    except MlflowException as error:
        raise ModelError(f"the registry did not say {asked}: {error.message}") from error


def aliased(client: "MlflowClient", model: str) -> frozenset[int]:
    """The versions that any alias names."""
    from mlflow.exceptions import MlflowException

    try:
        return frozenset(int(version) for version in client.get_registered_model(model).aliases.values())
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return frozenset()
        raise ModelError(f"the registry did not say which aliases {model!r} has: {error.message}") from error


def delete(client: "MlflowClient", model: str, version: int) -> None:
    """Delete a version, and mark its model as deleted; `mlflow gc` frees its files.

    Raises:
        ModelError: the registry refused.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(model, str(version))
        client.delete_model_version(model, str(version))
        if found.model_id:
            client.delete_logged_model(found.model_id)
    except MlflowException as error:
        if error.error_code not in _ABSENT:  # its model may have been deleted before it
            raise ModelError(f"version {version!r} of {model!r} could not be deleted: {error.message}") from error


def set_alias(client: "MlflowClient", model: str, alias: str, version: int | None) -> None:
    """Let an alias name a version; or none, which removes it.

    Raises:
        ModelError: the registry refused.
    """
    from mlflow.exceptions import MlflowException

    try:
        if version is None:
            client.delete_registered_model_alias(model, alias)
        else:
            client.set_registered_model_alias(model, alias, str(version))
    except MlflowException as error:
        raise ModelError(
            f"the {alias} alias of {model!r} could not be set to version {version!r}: {error.message}"
        ) from error


def version_tags(client: "MlflowClient", model: str, version: int) -> dict[str, str]:
    """The tags of a version.

    Raises:
        ModelError: the model has no such version, or the registry doesn't answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_model_version(model, str(version)).tags or {})
    except MlflowException as error:
        raise ModelError(f"the registry did not say the tags of {model!r} {version!r}: {error.message}") from error


def set_version_tag(client: "MlflowClient", model: str, version: int, name: str, value: str | None) -> None:
    """Tag a version; without a value the tag is taken away.

    Raises:
        ModelError: the registry refused.
    """
    from mlflow.exceptions import MlflowException

    def change() -> None:
        if value is None:
            client.delete_model_version_tag(model, str(version), name)
        else:
            client.set_model_version_tag(model, str(version), name, value)

    try:
        try:
            change()
        except MlflowException:
            # Of two who write a tag that wasn't there MLflow refuses one; by now it is there.
            if version_tags(client, model, version).get(name) != value:
                change()
    except MlflowException as error:
        raise ModelError(f"the tag {name!r} of {model!r} {version!r} could not be set: {error.message}") from error


def load(client: "MlflowClient", target: ModelVersion) -> "Pipeline":
    """Load a version's fitted pipeline.

    The file is read by everfit and not by MLflow, which would take the list of types to trust from the very model that
    is to be judged.

    Raises:
        ModelError: the version wasn't saved with skops, holds types that are not trusted, or can't be read.
    """
    from everfit.tasks.models.skops_format import load_model

    name = f"version {target.version} of {target.model!r}"
    try:
        with _downloaded(client, target) as folder:
            return load_model(_model_file(folder).read_bytes())
    except ModelError as error:
        raise ModelError(f"{name} can't be loaded: {error}") from error
    except Exception as error:  # the store's, skops's, or whatever a broken file has a library raise
        raise ModelError(f"{name} can't be loaded: {type(error).__name__}: {error}") from error


def probe(client: "MlflowClient", target: ModelVersion, rows: "pd.DataFrame | None" = None) -> None:
    """Make sure that a version loads and answers.

    Args:
        client: Of the registry.
        target: The version.
        rows: What to ask it about; by default the input example that it was logged with.

    Raises:
        ModelError: it can't be loaded, has no example to be asked about, or answers with something not finite.
    """
    import numpy as np

    name = f"version {target.version} of {target.model!r}"
    pipeline = load(client, target)
    asked = _input_example(client, target) if rows is None else rows
    try:
        answer = np.asarray(
            pipeline.predict_proba(asked) if hasattr(pipeline, "predict_proba") else pipeline.predict(asked)
        )
    except Exception as error:  # a model may raise anything
        raise ModelError(f"{name} does not answer: {type(error).__name__}: {error}") from error
    if len(answer) != len(asked):
        raise ModelError(f"{name} gave {len(answer)} answers to {len(asked)} rows")
    if not np.isfinite(answer.astype(float)).all():
        raise ModelError(f"{name} answers with values that are not finite")


def _version(found: "RegisteredVersion") -> ModelVersion:
    tags: dict[str, str] = dict(found.tags or {})
    # A version that somebody else registered doesn't say what it has seen; nothing later than itself, at any rate.
    registered = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return ModelVersion(
        model=str(found.name),
        version=int(found.version),
        run_id=found.run_id or "",
        trained_until=_moment(tags.get(TRAINED_UNTIL_TAG), registered),
        snapshot_digest=tags.get(SNAPSHOT_TAG, ""),
    )


def _moment(tag: str | None, otherwise: datetime) -> datetime:
    if tag is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(tag)
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _model_file(folder: Path) -> Path:
    flavor = _metadata(folder).flavors.get("sklearn")
    if flavor is None:
        raise ModelError("it was not logged as a scikit-learn model")
    kept_as = flavor.get("serialization_format", "pickle")
    if kept_as != "skops":
        raise ModelError(f"it was saved as {kept_as!r}, and everfit loads only 'skops'; log it again with skops")
    file = (folder / str(flavor["pickled_model"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ModelError(f"its file {flavor['pickled_model']!r} lies outside of the model")
    return file


def _input_example(client: "MlflowClient", target: ModelVersion) -> "pd.DataFrame":
    import pandas as pd

    name = f"version {target.version} of {target.model!r}"
    try:
        with _downloaded(client, target) as folder:
            example: Any = _metadata(folder).load_input_example(str(folder))
    except Exception as error:  # as in `load`
        raise ModelError(f"the example of {name} can't be read: {type(error).__name__}: {error}") from error
    if not isinstance(example, pd.DataFrame) or example.empty:
        raise ModelError(f"{name} was logged without an example to ask it about; log it with one")
    return example


@contextmanager
def _downloaded(client: "MlflowClient", target: ModelVersion) -> Iterator[Path]:
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_download_uri(target.model, str(target.version))
    with TemporaryDirectory(prefix="everfit-model-") as folder:
        yield Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=client.tracking_uri))


def _metadata(folder: Path) -> Any:
    from mlflow.models import Model

    return Model.load(str(folder))
