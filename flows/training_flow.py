"""One turn of the loop: ingest, validate, train, evaluate, gate, release."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.core.records import Trigger
from everfit.tasks.steps import gate, ingestion, learning, remedies, requests, turns, waiting
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name
from everfit.tasks.steps.task_runners import task_runner
from everfit.tasks.turns.turn_record import DATA_REJECTED, NOTHING_NEW


@flow(
    name="training",
    flow_run_name=run_name("train"),
    on_failure=on_failure,
    on_completion=on_completion,
    task_runner=task_runner(),
)
def training(  # noqa: PLR0911 - one for each way in which a turn can end
    model: str, until: datetime | None = None, trigger: Trigger | None = None
) -> "State[dict[str, Any]]":
    """Run one turn of the loop for a model: train a challenger, and release it if it is shown to be better.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: Only data known at this time counts. By default it is the time for which the run was scheduled.
        trigger: Why the turn is run. The same trigger for the same moment gives one turn, even if it is sent twice.

    Returns:
        A state named after how the turn ended: `Promoted`, `ChampionKept`, `AwaitingApproval`, `NothingNew`,
        `DataRejected`, or `Superseded` if the champion changed meanwhile; `TurnHeldBack` if an event requested it
        and the ledger's rules refused. A turn that judges a waiting challenger again ends as `Promoted`, as
        `StillWaiting` or as `WaitsNoLonger`. Its data is the turn as `everfit train --json` prints it.
    """
    context = open_context(model)
    until = moment(until)
    trigger = trigger or Trigger()
    if refused := requests.refuse_event(context, until, trigger):  # an event may ask; a person needn't
        return requests.final_state(context, refused)
    with turns.take_turn(context, until, trigger) as turn:
        if turn.settled:
            return turn.final_state()

        # Data in: what is new is staged, checked, and only then taken into the dataset.
        batch = ingestion.ingest(turn)
        validation = ingestion.validate(turn, batch)
        ingestion.commit(turn, batch, validation)
        if not validation.passed:
            return turn.end(DATA_REJECTED, validation.reasons)

        # A challenger that was kept for want of evidence is judged again by the rows since; nothing is trained.
        if trigger.kind == "waiting":
            return waiting.judge_waiting(turn)

        # The training data is named exactly; its last part is kept out to judge by.
        split = ingestion.split(turn)
        snapshot = ingestion.take_snapshot(turn, split)
        if ingestion.already_trained(turn, snapshot):
            return turn.end(NOTHING_NEW, "these rows were trained on already, by the same spec")

        # A challenger that can't be compared with the champion yet is not trained.
        data = ingestion.training_data(turn)
        if reason := gate.why_nothing_to_compare_on(turn, data):
            return turn.end(NOTHING_NEW, reason)

        # The smallest remedy of the champion that is enough is released without a search.
        if remedied := remedies.judge_remedies(turn, data):
            return remedied

        while True:
            # Candidates compete on validation rows; the best one is fitted on all training rows.
            results = learning.try_candidates(turn, data)
            challenger = learning.fit(turn, data, results)

            # Challenger and champion meet on the hold-out; if its rows are too few to judge by, on a longer one.
            evidence = gate.evaluate(turn, data, challenger)
            preview = gate.preview_gate(turn, evidence)
            if not preview.extend_holdout:
                break
            data = ingestion.longer_holdout(turn, data, evidence)

        # A good challenger is fitted again on all rows, and converted if the spec says so.
        fitted = learning.refit(turn, data, challenger, preview)
        conversion = learning.convert(turn, data, fitted, preview)

        # The challenger is registered and tried as it would be served; the gate decides.
        version = learning.register(turn, data, challenger, fitted, conversion)
        evidence = gate.check_serving(turn, data, version, fitted, evidence, conversion)
        gate.apply_gate(turn, evidence)

        # The evidence is logged; what passed takes the champion's place, or waits for a person.
        turns.track(turn, data)
        state, reasons = turns.release_challenger(turn)
        return turn.end(state, reasons)
