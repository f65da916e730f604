"""Give a version the bounds of its hold-out, so that its first answer has an interval or a set."""

import logging

from everfit.blocks.errors import ModelError
from everfit.tasks.batch.scoring import require_champion
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.monitoring.answer_bounds import HeldOutScores
from everfit.tasks.monitoring.holdout import holdout_answers
from everfit.tasks.monitoring.reference import load_reference
from everfit.tasks.registry.bounds_tag import read_bounds, write_bounds
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.monitoring")


def offer_bounds(context: Context, version: ModelVersion | None = None) -> None:
    """Write the bounds of a version's hold-out into the registry, if the spec wants intervals and it has none.

    Args:
        context: The model.
        version: The version; by default the champion.

    Raises:
        ModelError: The registry doesn't answer, or there is no champion.
        ArtifactError: The version's reference is not the one that was registered.
    """
    promised = context.spec.release.serving.intervals
    if promised is None:
        return
    version = version or require_champion(context)
    known = read_bounds(context.mlflow, version.model, version.version)
    if known is not None and known.promised == promised:
        return
    try:
        reference = load_reference(context.mlflow, context.ledger, version)
    except ModelError as error:
        logger.warning("the answers of version %d have no intervals: %s", version.version, error)
        return
    holdout = holdout_answers(reference.sample, context.spec, reference.classes or ())
    write_bounds(context.mlflow, version.model, version.version, HeldOutScores.of(holdout).bounds(promised))
