"""Keep a version's description and model card true when a decision comes later."""

import logging
from typing import TYPE_CHECKING

from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.evaluation.model_card import with_outcome
from everfit.tasks.registry import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger("everfit.registry")


def add_outcome(client: "MlflowClient", model: str, version: int, headline: str) -> None:
    """Add a later decision to a version's description and to the card of its run; safe to repeat.

    The decision is made already, so an MLflow that does not answer is only logged.

    Args:
        client: MLflow client.
        model: The name of the model.
        version: The version.
        headline: The decision in one sentence.
    """
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_model_version(model, str(version))
        before = registered.description or ""
        card = with_outcome(before, markdown_text(headline))
        if card == before:
            return
        if registered.run_id:
            client.log_text(registered.run_id, card, tracking.CARD_FILE)
        client.update_model_version(model, str(version), description=card)  # last: it shows that all is done
    except (MlflowException, OSError) as error:
        logger.warning("the card of version %d of %s could not be brought up to date: %s", version, model, error)
