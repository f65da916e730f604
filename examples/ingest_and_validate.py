"""Take in new rows and train nothing: good rows go into the dataset, bad ones into quarantine."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks import commit, ingest, open_turn, validate


@flow
def ingest_and_validate(model: str, until: datetime | None = None) -> State[Any]:
    """Fill the dataset of a model."""
    with open_turn(model, reason="only taking in", until=until) as turn:
        if turn.settled:  # this very run was done before
            return turn.final_state()
        batch = ingest(turn)
        validation = validate(turn, batch)
        commit(turn, batch, validation)
        return turn.end("Ingested" if validation.passed else "DataRejected", validation.reasons)


if __name__ == "__main__":
    state = ingest_and_validate("deliveries.yaml", datetime(2024, 2, 1, tzinfo=UTC), return_state=True)
    print(state.name)
