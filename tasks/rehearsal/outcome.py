"""The outcome of a rehearsal: all policies compared over the same windows, and what follows. Pure."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import AwareDatetime, Field

from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record
from everfit.tasks.rehearsal import policies
from everfit.tasks.rehearsal.comparison import Play, Scale, Span, Standing, decimals_for, play_of, standings
from everfit.tasks.rehearsal.life import Life
from everfit.tasks.rehearsal.matrix import Matrix
from everfit.tasks.rehearsal.measuring import unit_of
from everfit.tasks.rehearsal.plan import SPEC, RehearsalPlan
from everfit.tasks.rehearsal.policies import Floats
from everfit.tasks.rehearsal.recommendation import NEVER, Recommendation, recommend, verdicts_of_pairs
from everfit.tasks.statistics.metrics import metric

STILL, EACH, CUSUM, BOUND = "never retrained", "retrained at every window", "CUSUM of the loss", "best in hindsight"

_SLACK, _ALARM = 0.03, 0.12
"""CUSUM: shares of the first model's lead over a constant answer that are no loss, and an alarm."""


class Rehearsal(Record):
    """The outcome of a rehearsal.

    Attributes:
        model: Name of the model.
        scale: Metric and price by which windows are weighed.
        every: Length of a window, as in a spec.
        trained_at: Moment of the first model.
        windows: Windows that are compared.
        plays: The deeds of each policy.
        standings: How the policies compare.
        pairs: A sentence on each policy against the spec as it is.
        matrix: The metric by training end and window; empty if no model was released.
        recommendation: The change of the spec to make, if there is one.
        notes: Sentences on what history can't show.
        since_then: The worth of the real loop by month, as a table with its heads; empty before the first month.
    """

    model: str
    scale: Scale
    every: str
    trained_at: AwareDatetime
    windows: tuple[Span, ...] = ()
    plays: tuple[Play, ...] = ()
    standings: tuple[Standing, ...] = ()
    pairs: tuple[str, ...] = ()
    matrix: tuple[tuple[float | None, ...], ...] = ()
    recommendation: Recommendation
    notes: tuple[str, ...] = ()
    since_then: tuple[tuple[str, ...], ...] = ()
    fit_seconds: float = Field(default=0.0, description="Processor time of all bare fits and predictions.")

    def play(self, policy: str) -> Play:
        """Return what a policy did."""
        return next(play for play in self.plays if play.policy == policy)


def weighed_by(spec: ModelSpec, price: float | None) -> Scale:
    """Return how windows are weighed.

    Args:
        spec: Its value of predictions makes money of them.
        price: Price of a turn; None for that of the spec.
    """
    benefit = spec.retraining.cost_benefit
    if price is None:
        price = (benefit.cost_per_turn or 0.0) if benefit is not None else 0.0
    better = metric(spec.metric, spec.task).greater_is_better
    return Scale(metric=spec.metric, greater_is_better=better, price=price, unit=unit_of(spec))


def assemble(
    spec: ModelSpec, plan: RehearsalPlan, lives: Mapping[str, Life], matrix: Matrix | None, price: float | None
) -> Rehearsal:
    """Return the outcome.

    Args:
        spec: The spec as it is.
        plan: The plan of the rehearsal.
        lives: By the name of a policy, what a spec did.
        matrix: Models by training end and window; None if no model was released.
        price: Price of a turn; None for that of the spec.
    """
    main, scale = lives[SPEC], weighed_by(spec, price)
    every = plan.ends[1] - plan.ends[0]
    notes = [*plan.notes, *_failures(lives)]
    if main.first is None or matrix is None:
        reason = "The spec released no model in all these windows, so nothing can be compared."
        return Rehearsal(
            model=plan.model,
            scale=scale,
            every=format_duration(every),
            trained_at=plan.ends[0],
            recommendation=Recommendation(verdict="unknown", reasons=(reason,)),
            notes=tuple(notes),
        )
    first = main.first
    if first:
        notes.append(
            f"The gate released no model before {plan.ends[first]:%Y-%m-%d}; the {first} windows before are left out."
        )
    plays = [life.play(name, "spec" if name == SPEC else "patch", first) for name, life in lives.items()]
    plays += _simple(matrix, scale, math.ceil(spec.maturity / every))
    plays.append(_bound(matrix, scale, plays))
    scale = scale.model_copy(update={"decimals": decimals_for(plays)})
    notes += matrix.notes
    spans = _spans(main, first)
    if unknown := sum(1 for value in plays[0].quality if value is None):
        have = (
            "1 window has no quality; its reason"
            if unknown == 1
            else f"{unknown} windows have no quality; their reasons"
        )
        notes.append(f"{have} {'is' if unknown == 1 else 'are'} in the table of windows.")
    found = standings(plays, scale)
    patches = {policy.name: policy.patch for policy in plan.policies if policy.patch} | {STILL: dict(NEVER)}
    return Rehearsal(
        model=plan.model,
        scale=scale,
        every=format_duration(every),
        trained_at=plan.ends[first],
        windows=spans,
        plays=tuple(plays),
        standings=found,
        pairs=verdicts_of_pairs(found, scale),
        matrix=matrix.quality,
        recommendation=recommend(plays, scale, patches, format_duration(every)),
        notes=tuple(notes),
        fit_seconds=round(sum(matrix.seconds) + matrix.predicting, 1),
    )


def _simple(matrix: Matrix, scale: Scale, late: int) -> list[Play]:
    """Return what the simple rules would have done.

    Args:
        matrix: Models by training end and window.
        scale: How windows are weighed.
        late: Windows after its end at which a window's labels are known.
    """
    quality = matrix.array()
    loss: Floats = -quality if scale.greater_is_better else quality
    money = matrix.array(money=True) if matrix.money else None
    cost = loss if money is None or scale.unit is None else -money
    every, fixed = policies.best_cadence(cost, scale.price)
    each = EACH if every > 1 else f"{EACH} (the best fixed cadence)"
    rules = [(STILL, policies.never(loss)), (each, policies.cadence(loss, 1))]
    if every > 1:
        rules.append((f"best fixed cadence: every {every} windows", fixed))
    if (plan := _cusum(loss, quality, matrix.chance, late)) is not None:
        rules.append((CUSUM, plan))
    return [
        play_of(name, "simple", policies.at(loss, plan.fits), quality, loss, money, matrix.seconds)
        for name, plan in rules
    ]


def _bound(matrix: Matrix, scale: Scale, plays: Sequence[Play]) -> Play:
    """Return the best plan in hindsight over all models that any policy has fitted.

    A model that a spec has released is known in the windows in which it was used, and counts there where it is better
    than that of the matrix.

    Args:
        matrix: Models by training end and window.
        scale: How windows are weighed.
        plays: Those of the spec and its patches among others.
    """
    quality, money = matrix.array(), matrix.array(money=True) if matrix.money else None
    sign = 1 if scale.greater_is_better else -1
    for play in plays:
        if play.kind not in {"spec", "patch"}:
            continue
        for window, value in enumerate(play.quality):
            fit = max((place for place in play.releases if place <= window), default=0)
            if value is None or sign * value <= sign * quality[fit, window]:
                continue
            quality[fit, window] = value
            if money is not None and (worth := play.money[window]) is not None:
                money[fit, window] = max(worth, money[fit, window])
    loss = -sign * quality
    cost = loss if money is None or scale.unit is None else -money
    best = policies.hindsight(cost, scale.price)
    return play_of(BOUND, "bound", best, quality, loss, money, matrix.seconds)


def _cusum(loss: Floats, quality: Floats, chance: float | None, late: int) -> policies.Plan | None:
    new = loss[0, :2]
    if np.isnan(new).all():
        return None
    reference = float(np.nanmean(new))
    if chance is None or np.isnan(quality[0, 0]):
        return policies.cusum(loss, reference, late=late)
    lead = abs(float(quality[0, 0]) - chance)
    return policies.cusum(loss, reference, slack=_SLACK * lead, alarm=_ALARM * lead, late=late)


def _spans(main: Life, first: int) -> tuple[Span, ...]:
    spans = []
    for window in main.windows[first:]:
        note = ""
        if window.quality is None:
            if window.version is None:
                note = "no row was predicted"
            elif not window.rows:
                note = "no label is known and mature at the end"
            else:
                note = f"{window.rows:,} labels don't define the metric"
        spans.append(Span(since=window.since, until=window.until, rows=window.rows, note=note))
    return tuple(spans)


def _failures(lives: Mapping[str, Life]) -> list[str]:
    """Return the failures of the flows, each once."""
    found = []
    for name, life in lives.items():
        found += [f"{name}, {note}" for note in life.notes[:5]]
        if len(life.notes) > 5:
            found.append(f"{name}: {len(life.notes) - 5} more failures are in its log")
    return found
