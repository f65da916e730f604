"""Monitor a model by a flow of your own: a step of yours looks at the evidence before triage decides."""

from datetime import UTC, datetime

from prefect import flow, task

import everfit.tasks as ef
from everfit.flows import training

HOLIDAYS = {(12, 25), (12, 26), (1, 1)}


@task
def is_quiet_day(until: datetime, signals: ef.Signals) -> bool:
    """Whether little data is normal, because the depots are closed."""
    return (until.month, until.day) in HOLIDAYS and not signals.data.bad


@flow
def own_monitoring(model: str, until: datetime) -> str:
    """Check a window, but decide nothing on a holiday."""
    context = ef.open_context(model)
    ef.collect_labels(context, until)
    monitored = ef.find_champion(context, until)
    if monitored is None:
        return "no champion yet"
    window = ef.read_window(monitored)
    signals = ef.measure_signals(window)
    if is_quiet_day(until, signals):  # a step of ours
        return "holiday"
    run_id = ef.open_window_run(monitored)
    decision, is_new = ef.decide_window(window, signals, run_id)
    ef.notify(window, signals, decision, run_id, is_new=is_new)
    if decision.verdict == "retrain":
        outcome = ef.request_turn(context, until, decision_id=decision.id)
        if outcome.start:  # the ledger grants the turn once, however many ask
            training(model, until, decision.trigger(), return_state=True)
    return decision.verdict


if __name__ == "__main__":
    print(own_monitoring("deliveries.yaml", datetime(2024, 3, 1, tzinfo=UTC)))
