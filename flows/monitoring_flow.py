"""Monitoring: measure a window, decide what it means, and act on the decision."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.flows.training_flow import training
from everfit.tasks.steps import actions as act
from everfit.tasks.steps import evidence, monitoring_states, release, triage, worth
from everfit.tasks.steps import trial as trials
from everfit.tasks.steps import window as windows
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="monitoring", flow_run_name=run_name("monitor"), on_failure=on_failure, on_completion=on_completion)
def monitoring(model: str, until: datetime | None = None) -> State[dict[str, Any]]:
    """Check a model's newest window for bad data, drift and lost quality, then retrain, roll back or notify someone.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: The window's end; nothing that came later is known. By default the time for which the run was scheduled.

    Returns:
        A state whose name is the decision, such as `Healthy`, `Watching` or `Escalated`, or its outcome, such as
        `Retrained` or `RetrainingHeldBack`; `docs/flows.md` lists all. `NothingToWatch` before the first champion or
        request, `NothingNew` if no prediction and no label has come since the last look; `NotMeasured`, a failure, if
        a measurement broke. Its data is the window as `everfit monitor --json` prints it.
    """
    context = open_context(model)
    until = moment(until)

    # Repair an interrupted release first, and record a champion that was set by hand.
    release.reconcile(context)

    # Find the champion at the window's end, its answers in the window, and the labels that have come.
    monitored = windows.find_champion(context, until)
    if monitored is None:
        return monitoring_states.nothing_to_watch(context, until)

    # A model that nothing asks yet gets a full look once a day; the others end here.
    if unused := windows.still_unused(monitored):
        return monitoring_states.nothing_to_watch(context, until, unused)
    labels = windows.collect_new_labels(monitored)
    if quiet := windows.still_quiet(monitored):
        return monitoring_states.nothing_new(context, until, quiet)
    window = windows.read_window(monitored, labels)

    # Measure each evidence area by itself, while Evidently's report for people is drawn in another process.
    report = triage.begin_report(window)
    signals = evidence.measure_signals(window)
    run_id = triage.open_window_run(monitored)
    signals = triage.keep_report(monitored, report, signals, run_id)

    # Make one decision and keep it with its evidence.
    decision, is_new = triage.decide_window(window, signals, run_id)
    act.notify(window, signals, decision, run_id, is_new=is_new)

    act.yield_expectations(monitored, signals, decision)

    # Act on it once, however many monitors come to it. A challenger on trial is checked as well.
    rolled_back = act.roll_back_champion(monitored, decision)
    trials.advance_trial(context, until)
    outcomes = act.note_outcomes(monitored, signals, decision)
    call = act.call_turn(monitored, decision)
    if call is not None and call.turn_id is not None and not act.start_deployment(monitored, call):
        training(model, until, decision.trigger(), return_state=True)

    # Once a month, measure what the loop has been worth.
    worth.note_worth(context, until)
    return monitoring_states.monitoring_state(
        monitored, signals, decision, call, run_id, rolled_back=rolled_back, outcomes=outcomes
    )
