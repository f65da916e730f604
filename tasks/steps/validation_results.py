"""The findings of a validation, where people look for it: a page in MLflow, a table in Prefect."""

from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.validate import Validation
from everfit.tasks.data.validation_page import table_rows, validation_html
from everfit.tasks.registry import tracking
from everfit.tasks.registry.mlflow_links import model_link
from everfit.tasks.steps.artifacts import leave_table
from everfit.tasks.turns.context import Context


def show(context: Context, batch: Batch, validation: Validation) -> None:
    """Put Great Expectations' page into the turn's MLflow run, and a table artifact into Prefect."""
    if not validation.outcomes:  # no new rows, so no expectation was checked
        return
    client, spec = context.mlflow, context.spec
    run_id = tracking.turn_run(client, context.settings, spec.name, batch.turn_id)
    client.log_text(run_id, validation_html(spec, batch, validation, context.workspace), "validation.html")
    client.log_dict(run_id, validation.model_dump(mode="json"), "validation.json")
    ended = "passed" if validation.passed else "refused"
    leave_table(
        f"{spec.name}-validation",
        table_rows(validation),
        f"{ended}: {batch.turn_id}, {validation.rows:,} rows",
        model_link(context.settings, spec.name),
    )
