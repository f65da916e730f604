"""Prefect's configuration of logging, worked out once per environment: each command that is called asks for it."""

import copy
import os
from pathlib import Path
from typing import Any

from prefect.logging import configuration

_plain = configuration.load_logging_config
_known: dict[tuple[object, ...], dict[str, Any]] = {}


def _load_once(path: Path) -> dict[str, Any]:
    # What a run of the tests changes of the settings, it changes in the environment.
    key = (path, *sorted(item for item in os.environ.items() if item[0].startswith("PREFECT_LOGGING_")))
    if key not in _known:
        _known[key] = _plain(path)
    return copy.deepcopy(_known[key])


def load_once() -> None:
    """Let this process work each configuration out once: Prefect writes all of its settings out for it."""
    configuration.load_logging_config = _load_once


def load_as_a_command() -> None:
    """Work out what a quiet command asks for, before processes are forked that are commands."""
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli.environment import prepare_without_prefect

    load_once()
    before = dict(os.environ)
    prepare_without_prefect(Settings())
    _load_once(configuration.DEFAULT_LOGGING_SETTINGS_PATH)
    os.environ.clear()
    os.environ.update(before)
