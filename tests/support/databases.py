"""What libraries work out again for each database that is opened, once for all: tests open hundreds that are alike."""

import functools
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_COMPILED: Any = LRUCache(2000)
_LIKE = ("_json_serializer", "_json_deserializer", "paramstyle", "native_datetime", "server_version_info")
_plain = Engine.__init__


def compile_once() -> None:
    """Let SQLAlchemy compile each statement once for all SQLite files, and not once for each engine."""
    dialect: Any = SQLiteDialect_pysqlite
    dialect.__hash__, dialect.__eq__ = _hash, _are_alike  # the cache's keys begin with it
    Engine.__init__ = _init  # type: ignore[method-assign]


def find_revision_once() -> None:
    """Let MLflow run its migrations' files once to know the newest, and not at the first look into each database."""
    from mlflow.store.db import utils

    if not hasattr(utils._get_latest_schema_revision, "cache_info"):
        utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)


def _hash(dialect: Any) -> int:
    return hash(type(dialect))


def _are_alike(one: Any, other: object) -> bool:
    return one is other or (
        type(one) is type(other) and all(getattr(one, name, None) == getattr(other, name, None) for name in _LIKE)
    )


def _init(engine: Any, *arguments: Any, **named: Any) -> None:
    _plain(engine, *arguments, **named)
    if type(engine.dialect) is SQLiteDialect_pysqlite and engine._compiled_cache is not None:
        engine._compiled_cache = _COMPILED
