"""Monitoring that acts: look at a window, decide what it means, and do that."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.flows.training_flow import training
from everfit.tasks.steps import actions as act
from everfit.tasks.steps import evidence, release, triage
from everfit.tasks.steps import trial as trials
from everfit.tasks.steps import window as look
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name


@flow(name="monitoring", flow_run_name=run_name("monitor"))
def monitoring(model: str, until: datetime | None = None) -> State[dict[str, Any]]:
    """Watch a model's window that ends at a moment, and act on what is found.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: What is known at this moment is all that is known; by default when the run was due.

    Returns:
        A state named for what was decided: `Healthy`, `Watching`, `DataQuarantined`, `RetrainingCalled`, `Retrained`,
        `RetrainingHeldBack`, `RolledBack`, `RollbackOvertaken` (what was to be taken back was the champion no more) or
        `Escalated`; `NothingToWatch` before the first champion; `NotMeasured`, a failure, where evidence broke. Its
        data is the window as `everfit monitor --json` prints it.
    """
    context = open_context(model)
    until = moment(until)

    # What a crash has left is put right, and a champion that was set by hand is the one to be judged.
    release.reconcile(context)

    # The champion as of then, what it answered in the window, and what has come true.
    watched = look.find(context, until)
    if watched is None:
        return act.nothing_to_watch(context, until)
    taken = look.take_labels(watched)
    live = look.read_window(watched)

    # Each kind of evidence by itself; what can't be measured says so.
    drift, columns = evidence.compare_columns(watched, live)
    report = triage.begin_report(watched, live, columns)
    drift = evidence.measure_drift(watched, live, drift, columns)
    data = evidence.check_data(watched, live)
    quality = evidence.measure_quality(watched)
    estimate, came_true = evidence.estimate_quality(watched)
    previous = evidence.compare_with_previous(watched)
    satisfaction = evidence.ask_users(watched)
    operations = evidence.ask_services(watched, live)

    # People see the same in Evidently's report, which was drawn meanwhile.
    run_id = triage.open_run(watched)
    drift = triage.keep_report(watched, report, drift, run_id)

    # One decision, kept with its evidence.
    signals = evidence.gather(
        watched,
        taken=taken,
        data=data,
        drift=drift,
        quality=quality,
        estimate=estimate,
        previous=previous,
        satisfaction=satisfaction,
        operations=operations,
    )
    decision, new = triage.decide(watched, signals, came_true, run_id)
    act.tell(watched, signals, decision, columns, run_id, new=new)

    # What is decided is done: once, however many monitors come to it. A challenger on trial is judged as well.
    rolled_back = act.roll_back(watched, decision)
    trials.look_at(context, until)
    outcomes = act.note_outcomes(watched, signals, decision)
    call = act.call_turn(watched, decision)
    if call is not None and call.start and not act.start_deployment(watched, call):
        training(model, until, decision.trigger(), return_state=True)
    return act.final_state(watched, signals, decision, call, run_id, rolled_back=rolled_back, found=outcomes)
