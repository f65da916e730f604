"""Compare what policies have done over the same windows. Pure."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record
from everfit.tasks.rehearsal.intervals import MeanInterval, mean_interval, paired_interval
from everfit.tasks.rehearsal.policies import Floats, Plan, missed

Kind = Literal["spec", "patch", "simple", "bound"]


class Play(Record):
    """The deeds of a policy over the windows.

    A place is the number of the window before which something happened.
    """

    policy: str
    kind: Kind = Field(description="The spec as it is, a patch of it, a simple rule, or the bound in hindsight.")
    quality: tuple[float | None, ...] = Field(description="The metric in each window; None if it is not known.")
    money: tuple[float | None, ...] = Field(default=(), description="The value of each window; empty without a value.")
    turns: tuple[int, ...] = Field(default=(), description="Places of the trainings after the first.")
    releases: tuple[int, ...] = Field(default=(), description="Places at which another model took over.")
    wrong: tuple[int, ...] = Field(
        default=(), description="Places of releases that did no better than the model before."
    )
    seconds: float | None = Field(default=None, description="Processor time of the turns; None if not measured.")
    replaced: tuple[tuple[float | None, ...], ...] = Field(
        default=(),
        description="For each release of the best plan, the metric of the replaced model in each window.",
    )

    @property
    def needless(self) -> tuple[int, ...]:
        """Return the places of turns that released nothing, or nothing better."""
        return tuple(place for place in self.turns if place not in self.releases or place in self.wrong)


class Reactions(Record):
    """How soon a policy followed the changes at which the best plan in hindsight releases another model.

    It has followed a change once a model of its own wins at least half of what the change is worth. A release that
    does not is no reaction. A policy whose model does so anyway needs none.

    Attributes:
        missed: Places of changes that it never followed.
        late: Windows in which it won less than half of that, until it followed.
    """

    missed: tuple[int, ...] = ()
    late: int = 0


class Scale(Record):
    """How the windows of a rehearsal are weighed.

    Attributes:
        metric: Name of the metric.
        greater_is_better: False for losses and errors.
        price: Price of a turn: money, or without money quality of one window.
        unit: Unit of the money; None if windows are weighed by the metric.
        decimals: Decimals with which the metric is shown.
    """

    metric: str
    greater_is_better: bool
    price: float = 0.0
    unit: str | None = None
    decimals: int = 4

    def shown(self, size: float) -> str:
        """Return what windows are weighed by, the money or else the metric, as text."""
        return self.shown_metric(size) if self.unit is None else f"{size:,.2f}"

    def shown_metric(self, quality: float) -> str:
        """Return a value of the metric as text."""
        return f"{quality:,.{self.decimals}f}"

    def payoff(self, play: Play) -> tuple[float | None, ...]:
        """Return what a policy brought in each window, less its turns: greater is better."""
        sign = 1 if self.greater_is_better or self.unit is not None else -1
        values = play.money if self.unit is not None else play.quality
        return tuple(
            None if value is None else sign * value - self.price * play.turns.count(place)
            for place, value in enumerate(values)
        )


def decimals_for(plays: Sequence[Play]) -> int:
    """Return the decimals with which a metric of its usual size has four digits.

    Args:
        plays: The deeds of the policies.

    Example:
        >>> decimals_for([Play(policy="p", kind="spec", quality=(58.52, 61.4))])
        2
    """
    sizes = [abs(value) for play in plays for value in play.quality if value]
    return max(0, 3 - math.floor(math.log10(median(sizes)))) if sizes else 4


class Standing(Record):
    """How a policy compares with the others.

    Attributes:
        policy: Its name.
        kind: Its kind.
        quality: Mean quality over the windows.
        against_spec: Mean gain over the spec as it is, by window, turns paid; None for the spec itself.
        share: Share of what the best plan in hindsight wins over never retraining.
        turns: Number of trainings after the first.
        releases: Number of new models.
        wrong: Number of releases that did no better than the model before.
        needless: Number of turns that released nothing better.
        missed: Number of changes of the best plan in hindsight that it never followed.
        late: Windows in which it had not yet followed.
        seconds: Processor time of the turns.
        money: Value over all windows, less the turns.
    """

    policy: str
    kind: Kind
    quality: MeanInterval | None
    against_spec: MeanInterval | None = None
    share: float | None = None
    turns: int = 0
    releases: int = 0
    wrong: int = 0
    needless: int = 0
    missed: int = 0
    late: int = 0
    seconds: float | None = None
    money: float | None = None


class Span(Record):
    """A window of the rehearsal.

    Attributes:
        since: Its start.
        until: Its end.
        rows: Number of its predictions with a mature label.
        note: Why something is not known; empty if all is.
    """

    since: AwareDatetime
    until: AwareDatetime
    rows: int = 0
    note: str = ""


def play_of(  # noqa: PLR0917 - what was done, and its matrices
    name: str,
    kind: Kind,
    plan: Plan,
    quality: Floats,
    loss: Floats,
    money: Floats | None = None,
    seconds: Sequence[float] = (),
) -> Play:
    """Return what a plan over the matrix did: it releases each model that it fits.

    Args:
        name: Name of the policy.
        kind: Its kind.
        plan: The plan.
        quality: The metric in window `column` of the model fitted before window `row`; shape (windows, windows).
        loss: The same as a loss, by which releases are judged.
        money: The value in place of the metric; None without a value.
        seconds: Processor time of each fit.
    """
    places = list(plan.used), list(range(len(plan.used)))
    before = plan.fits[:-1] if kind == "bound" else ()
    return Play(
        policy=name,
        kind=kind,
        quality=known(quality[places]),
        money=() if money is None else known(money[places]),
        turns=plan.fits[1:],
        releases=plan.fits[1:],
        wrong=missed(loss, plan),
        seconds=sum(seconds[fit] for fit in plan.fits[1:]) if len(seconds) else None,
        replaced=tuple(known(quality[fit]) for fit in before),
    )


def known(values: Floats) -> tuple[float | None, ...]:
    """Return numbers with None in place of NaN."""
    return tuple(None if np.isnan(value) else float(value) for value in values)


def standings(plays: Sequence[Play], scale: Scale) -> tuple[Standing, ...]:
    """Return how the policies compare, in the order given.

    Args:
        plays: The spec as it is, and the others.
        scale: How windows are weighed.
    """
    paid = {play.policy: scale.payoff(play) for play in plays}
    spec = next((play.policy for play in plays if play.kind == "spec"), None)
    best = next((play for play in plays if play.kind == "bound"), None)
    bound = None if best is None else best.policy
    followed = {play.policy: reactions(play, best, scale) if best else Reactions() for play in plays}
    still = next((play.policy for play in plays if play.kind == "simple" and not play.turns), None)
    return tuple(
        Standing(
            policy=play.policy,
            kind=play.kind,
            quality=mean_interval(play.quality),
            against_spec=paired_interval(paid[play.policy], paid[spec])
            if spec is not None and play.policy != spec
            else None,
            share=share_of(paid[play.policy], paid[still], paid[bound]) if bound and still else None,
            turns=len(play.turns),
            releases=len(play.releases),
            wrong=len(play.wrong),
            needless=len(play.needless),
            missed=len(followed[play.policy].missed),
            late=followed[play.policy].late,
            seconds=play.seconds,
            money=sum(value for value in paid[play.policy] if value is not None) if scale.unit is not None else None,
        )
        for play in plays
    )


def reactions(play: Play, best: Play, scale: Scale) -> Reactions:
    """Return how soon a policy followed the releases of the best plan in hindsight.

    Args:
        play: The deeds of the policy.
        best: Those of the best plan, with the models that it replaced.
        scale: How windows are weighed.
    """
    sign = 1 if scale.greater_is_better else -1
    own, ideal = sign * _array(play.quality), sign * _array(best.quality)
    changes = [(place, ideal - sign * _array(old)) for place, old in zip(best.releases, best.replaced, strict=True)]
    least = _LEAST * max((_sum(worth[place:]) for place, worth in changes), default=0.0)
    missed_places: list[int] = []
    late: set[int] = set()
    for place, worth in changes:
        lag = ideal - own
        if _sum(worth[place:]) < least or np.isnan((lag - worth)[place:]).all():
            continue
        behind = lag > np.maximum(worth / 2, _EQUAL)
        models = sorted({place, *(release for release in play.releases if release > place)})
        reaction = next(
            (since for since, end in pairwise([*models, len(own)]) if _follows(lag[since:end], worth[since:end])), None
        )
        if reaction is None:
            missed_places.append(place)
        else:
            late.update(window for window in range(place, reaction) if behind[window])
    return Reactions(missed=tuple(missed_places), late=len(late))


def _follows(lag: Floats, worth: Floats) -> bool:
    """Return whether a model wins at least half of what a change is worth in the windows in which it is used.

    Args:
        lag: By how much it is worse than the best plan; shape (windows,).
        worth: By how much the model before the change is; shape (windows,).
    """
    known = ~np.isnan(lag) & ~np.isnan(worth)
    return bool(known.any() and lag[known].sum() <= max(worth[known].sum() / 2, _EQUAL))


def _array(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _sum(values: Floats) -> float:
    return float(np.nansum(values))


_EQUAL = 1e-9
"""Figures that differ by less are equal."""
_LEAST = 0.1
"""A change of the best plan that is worth less than this share of its greatest needs no reaction: it may be noise."""


def share_of(
    policy: Sequence[float | None], still: Sequence[float | None], bound: Sequence[float | None]
) -> float | None:
    """Return the share of the gain in hindsight that a policy reached; None if there was nothing to gain.

    Args:
        policy: Payoff of each window.
        still: That of the policy that never retrains.
        bound: That of the best plan in hindsight.
    """
    rows = [
        (one, never, best)
        for one, never, best in zip(policy, still, bound, strict=True)
        if one is not None and never is not None and best is not None
    ]
    if not rows:
        return None
    one, never, best = np.array(rows, dtype=np.float64).sum(axis=0)
    if best - never <= 1e-9 * max(1.0, abs(best)):
        return None
    return float((one - never) / (best - never))
