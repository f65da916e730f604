"""Run everfit's training as a subflow, between steps of your own: fetch the data first, publish the result after."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, task

from everfit.flows import training
from everfit.tasks import Trigger


@task
def fetch(folder: str) -> int:
    """Bring today's files where the spec looks for them; here they are there already."""
    return len(list(Path(folder).glob("*.csv")))


@flow
def nightly(model: str, until: datetime | None = None) -> str:
    """Fetch, train, and report the result."""
    files = fetch("deliveries")
    trigger = Trigger(kind="schedule", reason=f"nightly, {files} files")
    state = training(model, until, trigger, return_state=True)
    if state.name == "Promoted":
        print("a new champion:", state.message)
    return str(state.name)


if __name__ == "__main__":
    print(nightly("deliveries.yaml", datetime(2024, 3, 2, tzinfo=UTC)))
