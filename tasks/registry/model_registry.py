"""The model registry: MLflow's versions and aliases, as everfit uses them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as RegisteredVersion
    from mlflow.store.entities import PagedList

CHAMPION, CHALLENGER = "champion", "challenger"
TRAINED_UNTIL_TAG, SNAPSHOT_TAG = "everfit.trained_until", "everfit.snapshot"

ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""MLflow's error codes for a missing model, version or alias; they depend on the store."""


def champion(client: "MlflowClient", model: str) -> ModelVersion | None:
    """Return the version with the champion alias, or None."""
    return by_alias(client, model, CHAMPION)


def challenger(client: "MlflowClient", model: str) -> ModelVersion | None:
    """Return the version with the challenger alias, or None."""
    return by_alias(client, model, CHALLENGER)


def by_alias(client: "MlflowClient", model: str, alias: str) -> ModelVersion | None:
    """Return the version with an alias, or None."""
    found = by_alias_with_tags(client, model, alias)
    return None if found is None else found[0]


def by_alias_with_tags(client: "MlflowClient", model: str, alias: str) -> tuple[ModelVersion, dict[str, str]] | None:
    """Return the version with an alias, and its tags, or None."""
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_model_version_by_alias(model, alias)
        return _version(registered), dict(registered.tags or {})
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise ModelError(f"the {alias} of {model!r} can't be read from the registry: {error.message}") from error


def model_version(client: "MlflowClient", model: str, version: int) -> ModelVersion:
    """Return the version of that number.

    Raises:
        ModelError: The model has no such version, or the registry doesn't answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version(model, str(version)))
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise ModelError(
                f"version {version!r} of {model!r} can't be read from the registry: {error.message}"
            ) from error
        existing = versions(client, model)
        hint = f"it has {', '.join(map(str, existing))}" if existing else "it has none yet"
        raise ModelError(f"model {model!r} has no version {version!r}; {hint}") from error


def names(client: "MlflowClient") -> list[str]:
    """Return the names of all registered models, sorted."""
    models = _all(lambda page: client.search_registered_models(page_token=page), "the registered models")
    return sorted(entry.name for entry in models)


def versions(client: "MlflowClient", model: str) -> list[int]:
    """Return the version numbers of a model, lowest first."""
    of_model = f"name = '{model}'"
    entries = _all(lambda page: client.search_model_versions(of_model, page_token=page), f"the versions of {model!r}")
    return sorted(int(entry.version) for entry in entries)


def _all(search: "Callable[[str | None], PagedList[Any]]", wanted: str) -> list[Any]:
    """Return the entries of all pages of a search."""
    from mlflow.exceptions import MlflowException

    collected: list[Any] = []
    page: str | None = None
    try:
        while True:
            entries = search(page)
            collected += entries
            page = entries.token
            if not page:
                return collected
    except MlflowException as error:
        raise ModelError(f"{wanted} can't be read from the registry: {error.message}") from error


def aliased(client: "MlflowClient", model: str) -> frozenset[int]:
    """Return the versions that have an alias."""
    from mlflow.exceptions import MlflowException

    try:
        return frozenset(int(version) for version in client.get_registered_model(model).aliases.values())
    except MlflowException as error:
        if error.error_code in ABSENT:
            return frozenset()
        raise ModelError(f"the aliases of {model!r} can't be read from the registry: {error.message}") from error


def all_aliases(client: "MlflowClient", most: int) -> dict[str, dict[str, int]] | None:
    """Return the version of each alias of each model, by one request; None if there are more models than `most`.

    Raises:
        ModelError: The registry doesn't answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = client.search_registered_models(max_results=most)
    except MlflowException as error:
        raise ModelError(f"the registered models can't be read from the registry: {error.message}") from error
    if found.token:
        return None
    return {one.name: {alias: int(version) for alias, version in one.aliases.items()} for one in found}


def delete(client: "MlflowClient", model: str, version: int) -> None:
    """Delete a version, and mark its model as deleted; `mlflow gc` deletes its files.

    Raises:
        ModelError: The registry refused.
    """
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_model_version(model, str(version))
        client.delete_model_version(model, str(version))
        if registered.model_id:
            client.delete_logged_model(registered.model_id)
    except MlflowException as error:
        if error.error_code not in ABSENT:  # its model may have been deleted first
            raise ModelError(f"version {version!r} of {model!r} could not be deleted: {error.message}") from error


def set_alias(client: "MlflowClient", model: str, alias: str, version: int | None) -> None:
    """Point an alias at a version; None removes the alias.

    Raises:
        ModelError: The registry refused.
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
    """Return the tags of a version.

    Raises:
        ModelError: The model has no such version, or the registry doesn't answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_model_version(model, str(version)).tags or {})
    except MlflowException as error:
        raise ModelError(
            f"the tags of version {version!r} of {model!r} can't be read from the registry: {error.message}"
        ) from error


def set_version_tag(client: "MlflowClient", model: str, version: int, name: str, value: str | None) -> None:
    """Set a tag of a version; None removes the tag.

    Raises:
        ModelError: The registry refused.
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
            # If two processes write a new tag at once, MLflow refuses one; the tag exists now.
            if version_tags(client, model, version).get(name) != value:
                change()
    except MlflowException as error:
        raise ModelError(
            f"tag {name!r} of version {version!r} of {model!r} could not be set: {error.message}"
        ) from error


def version_of(model: str, number: int, run_id: str, created_ms: int, tags: Mapping[str, str]) -> ModelVersion:
    """Return a version from what the registry has of it.

    Args:
        model: Name of the model.
        number: Number of the version.
        run_id: The run that made it; empty without one.
        created_ms: Time of its registration, in milliseconds since 1970.
        tags: Its tags.
    """
    # A version that everfit didn't register has no tag; it can't have seen data later than its registration.
    registered_at = datetime.fromtimestamp(created_ms / 1000, UTC)
    return ModelVersion(
        model=model,
        version=number,
        run_id=run_id,
        trained_until=_moment(tags.get(TRAINED_UNTIL_TAG), registered_at),
        snapshot_digest=tags.get(SNAPSHOT_TAG, ""),
    )


def _version(registered: "RegisteredVersion") -> ModelVersion:
    number, run, tags = int(registered.version), registered.run_id or "", dict(registered.tags or {})
    return version_of(str(registered.name), number, run, registered.creation_timestamp, tags)


def _moment(tag: str | None, otherwise: datetime) -> datetime:
    if tag is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(tag)
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
