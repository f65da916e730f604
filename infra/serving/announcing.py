"""Events of the service, for automations on a Prefect server; where none is configured there is nobody to tell."""

import logging

from everfit.tasks.core.event_names import VERSION_NOT_SERVED
from everfit.tasks.core.events import emit
from everfit.tasks.core.records import ModelVersion

logger = logging.getLogger(__name__)


def tell_not_served(version: ModelVersion, served: int | None, reason: str) -> None:
    """Tell that a version could not be loaded, or did not answer, and which one goes on.

    Importing Prefect takes a second, which is spent in the caller's thread, and only when something is to be reported.

    Args:
        version: The one that is not served.
        served: The one that goes on, if there is one.
        reason: In words.
    """
    try:
        from prefect.settings import get_current_settings

        if get_current_settings().api.url is None:
            return
        emit(VERSION_NOT_SERVED, version.model, version=version.version, served=served, reason=reason)
    except Exception as error:  # noqa: BLE001 - what is served goes on, and the log and the metrics say the same
        logger.warning("%s: no event was sent: %s: %s", version.model, type(error).__name__, error)
