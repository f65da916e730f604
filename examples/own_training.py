"""Train with two steps of your own: one changes the rows before they are validated, one has a say before the gate."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.client.schemas.objects import State

import everfit.tasks as ef

MODEL, UNTIL = "deliveries.yaml", datetime(2024, 3, 1, tzinfo=UTC)


def repair_distances(rows: pd.DataFrame) -> pd.DataFrame:
    """Convert to kilometres the distances that a depot has written in metres."""
    distance = rows["distance"]
    return rows.assign(distance=distance.where(distance < 100, distance / 1000))


@task
def too_uncertain(evidence: ef.Evidence, least: float) -> bool:
    """Whether the challenger is worse than a bound of ours, whatever the champion does."""
    return evidence.challenger["roc_auc"] < least


@flow
def own_training(model: str, until: datetime | None = None, least: float = 0.6) -> State[Any]:
    """Run a turn of the loop with two steps of our own."""
    with ef.open_turn(model, reason="own training", until=until) as turn:
        if turn.settled:
            return turn.final_state()

        batch = ef.ingest(turn)
        batch = ef.transform_rows(turn, batch, repair_distances)  # a step of ours
        validation = ef.validate(turn, batch)
        ef.commit(turn, batch, validation)
        if not validation.passed:
            return turn.end("DataRejected", validation.reasons)

        split = ef.split(turn)
        snapshot = ef.take_snapshot(turn, split)
        if ef.already_trained(turn, snapshot):
            return turn.end("NothingNew", "these rows were trained on already")
        data = ef.training_data(turn)

        results = ef.try_candidates(turn, data)
        challenger = ef.fit(turn, data, results)
        evidence = ef.evaluate(turn, data, challenger)
        if too_uncertain(evidence, least):  # another step of ours
            return turn.end("TooUncertain", f"ROC AUC is below {least}")  # recorded as `other`

        preview = ef.preview_gate(turn, evidence)
        fitted = ef.refit(turn, data, challenger, preview)
        version = ef.register(turn, data, challenger, fitted)
        evidence = ef.check_serving(turn, data, version, fitted, evidence)
        ef.apply_gate(turn, evidence)
        ef.track(turn, data)
        state, reasons = ef.release_challenger(turn)
        return turn.end(state, reasons)


if __name__ == "__main__":
    print(own_training(MODEL, UNTIL, return_state=True).name)
