"""The sum by which a turn is or is not called: rows, growth, and gain against cost. Pure."""

from collections.abc import Iterator

from everfit.blocks.policy import format_duration
from everfit.tasks.core.figures import Figure, in_digits
from everfit.tasks.triage.case import Case


def turn_figures(case: Case) -> tuple[Figure, ...]:
    """Return the figures behind the decision whether a turn is tried.

    Args:
        case: The evidence of the window.
    """
    return (*_of_loss(case), *_of_rows(case), *_of_worth(case))


def _of_loss(case: Case) -> Iterator[Figure]:
    loss = case.realised
    if loss is None:
        return
    origin = f"{loss.metric}: {in_digits(loss.expected)} expected, {in_digits(loss.value)} on {loss.rows:,} rows"
    yield Figure(name="loss of quality", value=in_digits(loss.loss), origin=origin)
    yield Figure(name="a loss counts from", value=in_digits(loss.bound), origin="monitoring.max_loss")
    yield Figure(name="standard error of the loss", value=in_digits(loss.standard_error))
    origin = f"at least {in_digits(loss.critical_z)} is certain, over retraining.false_alarm_windows"
    yield Figure(name="loss in standard errors", value=in_digits(loss.z), origin=origin)


def _of_rows(case: Case) -> Iterator[Figure]:
    policy, labels, cadence = case.policy.retraining, case.signals.labels, case.cadence
    if cadence is None:
        if not labels.measured:
            return
        off = [
            name
            for name, is_off in (
                ("retraining.on: nothing", policy.on == "nothing"),
                ("retraining.cadence: never", policy.cadence == "never"),
                ("retraining.new_data", policy.new_data is not None),
            )
            if is_off
        ]
        yield Figure(name="tries by the number of rows", value="off", origin=", ".join(off))
        yield Figure(name="rows since the last turn", value=f"{labels.new_rows:,}")
        return
    yield Figure(name="rows that the champion has not seen", value=f"{cadence.rows:,}", origin="with mature labels")
    base = 2 * case.policy.gate_rows
    smallest = f"2 x gate.min_rows ({case.policy.gate_rows:,})"
    if cadence.last is None:
        yield Figure(name="needed for a try", value=f"{cadence.needed:,}", origin=smallest)
    else:
        factor = f"retraining.back_off_factor ({policy.back_off_factor:g})"
        if cadence.near:
            factor += ", or less where it would show the gain of the last try, but at least a third of that growth"
        yield Figure(name="the same at the last try", value=f"{cadence.last:,}")
        yield Figure(name="growth until the next try", value=in_digits(cadence.factor), origin=factor)
        yield Figure(
            name="needed for a try",
            value=f"{cadence.needed:,}",
            origin=f"the larger of {smallest} = {base:,} and {in_digits(cadence.factor)} x {cadence.last:,}",
        )
    if labels.rarest_rows is not None:
        least = 2 * case.policy.gate_class_rows
        yield Figure(name="rows of the rarest class", value=f"{labels.rarest_rows:,}", origin=f"{least:,} are needed")
    if labels.unseen is not None and labels.unseen.since is not None:
        span, window = labels.unseen.until - labels.unseen.since, case.policy.monitoring.window
        origin = f"{format_duration(window)} are needed (monitoring.window)"
        yield Figure(name="span of these rows", value=f"{span.total_seconds() / 86_400:.3g}d", origin=origin)


def _of_worth(case: Case) -> Iterator[Figure]:
    benefit, signals = case.policy.retraining.cost_benefit, case.signals
    if benefit is None:
        return
    unit = f" {benefit.unit}" if benefit.unit else ""
    if case.rows_to_come is not None:
        horizon = format_duration(benefit.horizon)
        origin = (
            f"{signals.data.rows:,} rows of this window, and as many for retraining.cost_benefit.horizon ({horizon})"
        )
        yield Figure(name="rows to come", value=in_digits(case.rows_to_come), origin=origin)
    if case.won_back.turns:
        turns = case.won_back.turns
        origin = f"of {turns} turn{'s' * (turns > 1)} for a loss, and one more that is assumed to win back all"
        yield Figure(name="share of a loss that a turn wins back", value=in_digits(case.won_back.share), origin=origin)
    for name, hoped in (
        ("value of winning back the loss", case.win_back),
        ("value of a try, if it gains the bound", case.hope),
    ):
        if hoped is not None:
            yield Figure(name=name, value=f"{in_digits(hoped.value)}{unit}", origin=hoped.origin)
    if case.cost is not None:
        by_key = benefit.cost_per_turn is not None
        origin = "cost_per_turn" if by_key else "mean hours of past turns x cost_per_hour"
        origin = f"retraining.cost_benefit: {origin}"
        yield Figure(name="cost of a turn", value=f"{in_digits(case.cost)}{unit}", origin=origin)
