"""Score new rows each night, and copy the predictions into a table of your own."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from own_training import repair_distances
from prefect import flow, task

from everfit.tasks import Context, ScoringResult, open_context, read_predictions, score

NIGHT, MORNING = datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)


@task
def copy_predictions(context: Context, result: ScoringResult, database: str) -> int:
    """Copy the predictions of the scored window into the table `late_deliveries`."""
    rows = read_predictions(context, result.window.since, result.window.until)
    own = rows[["id", "sent_at", "_score", "_model_version"]].rename(columns={"_score": "chance_of_delay"})
    with closing(sqlite3.connect(database)) as connection:
        own.to_sql("late_deliveries", connection, if_exists="replace", index=False)
    return len(own)


@flow
def nightly_scoring(model: str, since: datetime | None = None, until: datetime | None = None) -> int:
    """Score a night's deliveries; without `since` the window begins where the last one ended."""
    context = open_context(model)
    result = score(context, since, until, transform=repair_distances)  # as the rows were changed for training
    return copy_predictions(context, result, "own.db")


if __name__ == "__main__":
    print(nightly_scoring("deliveries.yaml", NIGHT, MORNING), "predictions copied")
    # Each night, once it is deployed: nightly_scoring.serve(cron="0 3 * * *", parameters={"model": "deliveries.yaml"})
