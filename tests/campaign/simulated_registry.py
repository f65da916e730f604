"""A registry of the simulated world, which answers as MLflow's client does, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

if TYPE_CHECKING:
    from campaign.simulation import World


class Registry:
    """A registry in memory that answers as MLflow's client does, or not at all."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.versions: dict[int, Any] = {}
        self.aliases: dict[str, int] = {}

    def add(self, version: int) -> None:
        """Register a version."""
        facts = {"tags": {}, "creation_timestamp": 0, "name": "model", "run_id": f"run-{version}", "description": ""}
        self.versions[version] = SimpleNamespace(version=str(version), **facts)

    def get_model_version(self, _model: str, version: str) -> Any:
        """As MLflow's client."""
        with self._call():
            return self._known(self.versions.get(int(version)))

    def get_model_version_by_alias(self, _model: str, alias: str) -> Any:
        """As MLflow's client."""
        with self._call():
            return self._known(self.versions.get(self.aliases.get(alias, 0)))

    def search_model_versions(self, _query: str, page_token: str | None = None) -> Any:
        """As MLflow's client."""
        with self._call():
            return _Page(self.versions.values())

    def update_model_version(self, _model: str, version: str, description: str) -> None:
        """As MLflow's client."""
        with self._call():
            self._known(self.versions.get(int(version))).description = description

    def set_registered_model_alias(self, _model: str, alias: str, version: str) -> None:
        """As MLflow's client."""
        with self._call():
            self._known(self.versions.get(int(version)))
            self.aliases[alias] = int(version)

    def delete_registered_model_alias(self, _model: str, alias: str) -> None:
        """As MLflow's client."""
        with self._call():
            self.aliases.pop(alias, None)

    @contextmanager
    def _call(self) -> Iterator[None]:
        def lost() -> Exception:
            return MlflowException("the registry does not answer", error_code=TEMPORARILY_UNAVAILABLE)

        self.world.before(lost)
        self.world.stall_in_a_write()
        yield
        self.world.after(lost)

    @staticmethod
    def _known(found: Any) -> Any:
        if found is None:
            raise MlflowException("there is none", error_code=RESOURCE_DOES_NOT_EXIST)
        return found


class _Page(list[Any]):
    token = None
