"""The bounds of a version's answers, as the prediction services and batch scoring read them: a tag in the registry.

The ledger has the looks that adapted them, but the services know only the registry.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from everfit.blocks.errors import LedgerError, ModelError
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.registry import model_registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

BOUNDS_TAG = "everfit.intervals"


def read_bounds(client: "MlflowClient", model: str, version: int) -> AnswerBounds | None:
    """Return the bounds of a version's answers; None if it has none.

    Raises:
        ModelError: The registry doesn't answer, or the tag can't be read.
    """
    return bounds_of_tags(model_registry.version_tags(client, model, version), model, version)


def bounds_of_tags(tags: Mapping[str, str], model: str, version: int) -> AnswerBounds | None:
    """Return the bounds that the tags of a version have; None if they have none.

    Raises:
        ModelError: The tag can't be read.
    """
    tag = tags.get(BOUNDS_TAG)
    if not tag:
        return None
    try:
        return AnswerBounds.recall(json.loads(tag))
    except (LedgerError, ValueError) as error:
        raise ModelError(
            f"the tag {BOUNDS_TAG!r} of version {version} of {model!r} is {tag!r:.100}, which can't be read; delete it "
            "in MLflow, and the next look writes it again"
        ) from error


def write_bounds(client: "MlflowClient", model: str, version: int, bounds: AnswerBounds) -> bool:
    """Write the bounds of a version's answers, unless the tag has bounds that later labels have adapted.

    Returns:
        Whether they were written.

    Raises:
        ModelError: The registry refused.
    """
    try:
        known = read_bounds(client, model, version)
    except ModelError:
        known = None  # what can't be read is written again
    if known is not None and known.promised == bounds.promised:
        newer = known.adapted_until is not None and (
            bounds.adapted_until is None or known.adapted_until > bounds.adapted_until
        )
        if newer or known == bounds:
            return False
    model_registry.set_version_tag(client, model, version, BOUNDS_TAG, bounds.canonical_json())
    return True
