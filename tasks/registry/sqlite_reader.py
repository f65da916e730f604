"""Read the registry of an MLflow in a SQLite file by SQL."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry.local_copy import LocalFiles, local_files
from everfit.tasks.registry.registered import Registered, UnfitReaderError, registered_of

_TIMEOUT_S = 5.0
_DELETED = "Deleted_Internal"
"""Stage of a version that MLflow's SQL store has deleted."""

_TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"


class SqliteReader:
    """Reads MLflow's tables in a SQLite file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None."""
        query = (
            "SELECT v.version, v.run_id, v.creation_time FROM registered_model_aliases a "
            "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
            "WHERE a.name = ? AND a.alias = ? AND v.current_stage IS NOT ?"
        )
        with self._opened() as connection:
            found = self._rows(connection, query, (model, alias, _DELETED))
            if not found:
                return None
            ((number, run, created),) = found
            return registered_of(model, number, run, created, dict(self._rows(connection, _TAGS, (model, number))))

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`."""
        with self._opened() as connection:
            names = self._rows(connection, "SELECT name FROM registered_models LIMIT ?", (most + 1,))
            if len(names) > most:
                return None
            found: dict[str, dict[str, int]] = {name: {} for (name,) in names}
            for name, alias, number in self._rows(
                connection, "SELECT name, alias, version FROM registered_model_aliases", ()
            ):
                found.setdefault(name, {})[alias] = int(number)
            return found

    def local_files(self, version: ModelVersion) -> LocalFiles | None:
        """Return where the files of a version are, if they are on this machine."""
        query = (
            "SELECT COALESCE(v.storage_location, v.source), r.artifact_uri FROM model_versions v "
            "LEFT JOIN runs r ON r.run_uuid = v.run_id WHERE v.name = ? AND v.version = ? AND v.current_stage IS NOT ?"
        )
        of_version = (version.model, version.version)
        with self._opened() as connection:
            found = self._rows(connection, query, (*of_version, _DELETED))
            tags = dict(self._rows(connection, _TAGS, of_version))
        return local_files(found[0][0], found[0][1], tags) if found else None

    def _opened(self) -> "closing[sqlite3.Connection]":
        if not self._path.is_file():
            raise UnfitReaderError(f"{str(self._path)!r} does not exist yet, and MLflow's client makes it")
        try:
            return closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S))
        except sqlite3.Error as error:
            raise ModelError(f"MLflow's database {str(self._path)!r} can't be read: {error}") from error

    def _rows(self, connection: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if str(error).startswith("no such"):  # table or column: another version of MLflow
                raise UnfitReaderError(str(error)) from error
            raise ModelError(f"MLflow's database {str(self._path)!r} can't be read: {error}") from error
        except sqlite3.Error as error:
            raise ModelError(f"MLflow's database {str(self._path)!r} can't be read: {error}") from error
