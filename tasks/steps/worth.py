"""The worth of the loop by month, as a Prefect task."""

from datetime import datetime, timedelta

from everfit.tasks.monitoring.kept_worth import kept_worth
from everfit.tasks.monitoring.worth import WORTH, MonthWorth, worth_heads, worth_rows, worth_summary
from everfit.tasks.monitoring.worth_measuring import WorthMeter
from everfit.tasks.registry.mlflow_links import model_link
from everfit.tasks.steps.artifacts import leave_table
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.monitoring")

_AT_ONCE = 3
"""Months that one look measures, so that a model with years behind it is caught up with look by look."""
_PATIENCE = timedelta(days=7)
"""A month that can't be measured because a model or a table can't be read is tried again for this long."""


@step("compute", log="worth")
def note_worth(context: Context, until: datetime) -> tuple[MonthWorth, ...]:
    """Measure what the loop was worth in months that have ended and whose labels are mature, and keep it in the ledger.

    The first model and the previous champion answer a sample of the labelled rows, so each month is measured once.

    Args:
        context: The model.
        until: The look's end.

    Returns:
        The months that were not known before.
    """
    meter, found = WorthMeter(context), []
    for month in meter.due(until)[:_AT_ONCE]:
        final = until - context.spec.maturity >= month.until + _PATIENCE
        try:
            worth = meter.measure(month, final=final)
        except Exception as error:  # noqa: BLE001 - the window is decided; a later look measures this month
            logger.warning("the worth of %s can't be measured yet: %s", f"{month.since:%Y-%m}", error)
            continue
        context.ledger.decisions.record(
            meter.entry_id(month),
            model=context.spec.name,
            kind=WORTH,
            verdict=worth.verdict,
            until=month.until,
            reasons=(worth_summary([worth]), *worth.notes),
            record=worth,
        )
        logger.info("%s", worth_summary([worth]))
        found.append(worth)
    if found:
        name, months = context.spec.name, kept_worth(context.ledger, context.spec.name)
        heads = worth_heads(months)
        rows = [dict(zip(heads, row, strict=True)) for row in worth_rows(months)]
        leave_table(f"{name}-worth", rows, worth_summary(months), model_link(context.settings, name))
    return tuple(found)
