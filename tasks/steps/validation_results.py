"""The findings of a validation, where people look for it: a page in MLflow, a table in Prefect."""

from typing import Any

from prefect.artifacts import create_table_artifact

from everfit.tasks.data.ingest import Batch
from everfit.tasks.data.validate import Validation
from everfit.tasks.data.validation_page import table_rows, validation_html
from everfit.tasks.registry import tracking
from everfit.tasks.turns.context import Context


def show(context: Context, batch: Batch, validation: Validation) -> None:
    """Put Great Expectations' page into the turn's MLflow run, and a table artifact into Prefect."""
    if not validation.outcomes:  # no new rows, so no expectation was checked
        return
    client, spec = context.mlflow, context.spec
    run_id = tracking.turn_run(client, context.settings, spec.name, batch.turn_id)
    client.log_text(run_id, validation_html(spec, batch, validation, context.workspace), "validation.html")
    client.log_dict(run_id, validation.model_dump(mode="json"), "validation.json")
    rows: list[dict[str, Any]] = table_rows(validation)
    create_table_artifact(
        rows,
        key=f"{spec.name}-validation",
        description=f"{'passed' if validation.passed else 'refused'}: {batch.turn_id}, {validation.rows:,} rows",
    )
