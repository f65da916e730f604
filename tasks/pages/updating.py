"""Bring the pages of a model up to date after a look, a turn or a decision of a person."""

import logging
import os

from everfit.tasks.pages.writing import PageLinks, write_model, write_overview
from everfit.tasks.registry.tracking import experiments_of
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.pages")


def update_pages(context: Context, *, prefect: str = "") -> None:
    """Write the page of a model, and its row on the page of all models.

    A page that can't be written is logged, and no failure: the ledger has all that it shows, and the next look
    writes it.

    Args:
        context: The model.
        prefect: The address of Prefect's pages; empty if it is not known.
    """
    if not context.settings.pages:
        return
    name = context.spec.name
    try:
        entry = write_model(
            context.ledger,
            context.workspace,
            name,
            policy=context.spec.retraining,
            links=links_of(context, prefect),
        )
        write_overview(context.ledger, context.workspace, {name: entry})
    except Exception:  # whatever a store does, the decision that the page shows is made and kept
        logger.exception("the page of %s could not be written; `everfit pages` writes it", name)


def links_of(context: Context, prefect: str = "") -> PageLinks:
    """Return the addresses that a model's page leads to.

    Args:
        context: The model.
        prefect: The address of Prefect's pages; empty if it is not known.
    """
    base = context.settings.mlflow_page or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not base.startswith(("http://", "https://")):
        return PageLinks(prefect=prefect)
    found = [context.mlflow.get_experiment_by_name(name) for name in experiments_of(context.spec.name)]
    turns, looks = (
        "" if one is None else f"{base.rstrip('/')}/#/experiments/{one.experiment_id}/runs/" for one in found
    )
    return PageLinks(turns=turns, looks=looks, prefect=prefect)
