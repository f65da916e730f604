"""Emit events of the service for automations on a Prefect server, if one is configured."""

import logging

from everfit.tasks.core.event_names import ARTIFACTS_CHANGED, VERSION_NOT_SERVED
from everfit.tasks.core.events import emit
from everfit.tasks.core.records import ModelVersion

logger = logging.getLogger(__name__)


def tell_not_served(version: ModelVersion, served: int | None, reason: str) -> None:
    """Emit an event that a version could not be loaded or did not answer.

    Importing Prefect takes a second, which the caller's thread spends only if there is an event.

    Args:
        version: The version that is not served.
        served: The version that is served instead, if any.
        reason: Explanation for people.
    """
    _emit(VERSION_NOT_SERVED, version, served=served, reason=reason)


def announce_changed_files(version: ModelVersion, reason: str) -> None:
    """Emit an event that a version's files are not those that were registered.

    Args:
        version: The version, which is not served.
        reason: Explanation for people.
    """
    _emit(ARTIFACTS_CHANGED, version, reason=reason)


def _emit(name: str, version: ModelVersion, **payload: object) -> None:
    try:
        from prefect.settings import get_current_settings

        if get_current_settings().api.url is None:
            return
        emit(name, version.model, version=version.version, **payload)
    except Exception as error:  # noqa: BLE001 - serving goes on, and log and metrics report the same
        logger.warning("%s: no event was sent: %s: %s", version.model, type(error).__name__, error)
