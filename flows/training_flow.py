"""One turn of the loop: ingest, validate, train, evaluate, gate, release."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.core.records import Trigger
from everfit.tasks.steps import gate, ingestion, learning, requests, turns
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name
from everfit.tasks.steps.task_runners import task_runner
from everfit.tasks.turns.turn_record import DATA_REJECTED, NOTHING_NEW, TurnRecord


@flow(name="training", flow_run_name=run_name("train"), task_runner=task_runner())
def training(model: str, until: datetime | None = None, trigger: Trigger | None = None) -> "State[dict[str, Any]]":
    """Run one turn of the loop for a model: train a challenger, and release it if it is shown to be better.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: What is known at this moment is all that is known; by default when the run was due.
        trigger: Why the turn is run. The same trigger for the same moment gives one turn, however often it is sent.

    Returns:
        A state named for how the turn ended: `Promoted`, `ChampionKept`, `AwaitingApproval`, `NothingNew`,
        `DataRejected`, or `Superseded` if the champion changed meanwhile; `TurnHeldBack` if an event asked for it
        and the ledger's rules refused. Its data is the turn as `everfit train --json` prints it.
    """
    context = open_context(model)
    until = moment(until)
    trigger = trigger or Trigger()
    if refused := requests.refused(context, until, trigger):  # an event may ask; a person needn't
        return requests.final_state(context, refused)
    with turns.take_turn(context, until, trigger) as turn:
        if turn.settled:
            return turns.final_state(turn)
        turns.reconcile(context)

        # Data in: what is new is staged, checked, and only then taken into the dataset.
        batch = ingestion.ingest(context, turn)
        validation = ingestion.validate(context, batch)
        ingestion.accept(context, batch, validation)
        record = TurnRecord(batch=batch, validation=validation)
        if not validation.passed:
            return turns.final_state(turns.finish(context, turn, DATA_REJECTED, validation.reasons, record))

        # The training data is named exactly; its last part is kept out to judge by.
        split = ingestion.split(context, turn)
        snapshot = ingestion.take_snapshot(context, turn, split)
        record = record.with_(snapshot=snapshot, split=split)
        if ingestion.nothing_new(context, turn, snapshot):
            reason = "these rows were trained on already, by the same spec"
            return turns.final_state(turns.finish(context, turn, NOTHING_NEW, (reason,), record))

        data = ingestion.data_of(context, turn, record)
        while True:
            # Candidates compete on validation rows; the best one is fitted on all training rows.
            tried = learning.try_candidates(data, learning.candidates(context, turn))
            challenger = learning.fit_challenger(data, turn, tried)

            # Challenger and champion meet on the hold-out; if its rows are too few to judge by, on a longer one.
            evidence = gate.evaluate(context, turn, data, challenger, validation)
            judged = gate.judge(context, evidence)
            if not judged.extend_holdout:
                break
            data = ingestion.longer_holdout(context, data, evidence)

        # What is good enough is fitted again on all rows.
        fitted = learning.refit(data, turn, challenger, judged)
        record = record.with_(split=data.split, trials=tried, fitted=challenger, refitted=fitted)

        # The challenger is converted if the spec says so, registered and tried as it would be served; the gate decides.
        conversion = learning.convert(data, turn, fitted, judged)
        version = learning.register(context, turn, data, challenger, fitted, conversion=conversion)
        evidence = gate.try_serving(context, data, version, fitted, evidence, conversion=conversion)
        evidence, decision = gate.gate(context, turn, evidence)
        record = record.with_(version=version, evidence=evidence, decision=decision)

        # What was found and decided is logged; what passed takes the champion's place, or waits for a person.
        turns.track(context, turn, data, record)
        state, reasons = turns.release(context, turn, record)
        return turns.final_state(turns.finish(context, turn, state, reasons, record))
