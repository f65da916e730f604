"""How much quality differs between windows by nature, beyond chance. Pure.

A loss must stand out from that. The spread is learned in both directions: by the method of moments, shrunk to an
assumption that weighs as much as a few windows. The present loss is no part of it. A loss that passed without a release
is.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import NormalDist, fmean, median

from everfit.tasks.triage.history import History, PastQuality
from everfit.tasks.triage.non_overlapping import non_overlapping
from everfit.tasks.triage.quality_signals import Baseline

ASSUMED = 0.35
"""Assumed spread as a share of the bound."""
_ASSUMED_STEPS = 3
"""The assumption weighs as much as this many windows."""
_CLIPPED = 3.0
"""A window further from the others than this many of their deviations counts as that far, because it may be a fault."""
_USUAL = 0.8
"""The share of windows that are no faults."""


def natural_spread(history: History, metric: str, bound: float, baseline: Baseline, newest: PastQuality) -> float:
    """Return the standard deviation of quality between windows beyond chance.

    Args:
        history: Earlier windows, of all champions.
        metric: The primary metric.
        bound: The largest loss that is accepted.
        baseline: The hold-out, with its own spread between stretches of time.
        newest: The window that is tested.
    """
    variance, weight = (ASSUMED * bound) ** 2 * _ASSUMED_STEPS, float(_ASSUMED_STEPS)
    if baseline.spread is not None:
        degrees = (baseline.stretches or 3) - 1
        variance, weight = variance + baseline.spread**2 * degrees, weight + degrees
    for steady in _steady(history, metric, bound, newest):
        degrees = len(steady) - 1
        variance, weight = variance + _beyond_chance(steady) * degrees, weight + degrees
    return math.sqrt(max(0.0, variance / weight))


def _steady(history: History, metric: str, bound: float, newest: PastQuality) -> Iterator[Sequence[PastQuality]]:
    """Yield the windows of each champion before the loss that it ended with, or that it has now."""
    known = [
        (window.reference, quality)
        for window in history.windows
        if (quality := window.judged_quality) is not None and quality.metric == metric
    ]
    groups = [[quality for _, quality in pairs] for _, pairs in groupby(known, key=lambda pair: pair[0])]
    for place, group in enumerate(groups):
        is_last = place == len(groups) - 1
        apart = non_overlapping(group, lambda quality: quality.window, before=newest.window if is_last else None)
        if not is_last or newest.loss > bound / 2:
            while apart and apart[0].loss > bound / 2:
                apart.pop(0)
        if len(apart) > 1:
            yield apart


def _beyond_chance(windows: Sequence[PastQuality]) -> float:
    """Return the variance of the loss between windows, less what their numbers of rows explain."""
    middle = median(window.loss for window in windows)
    away = [window.loss - middle for window in windows]
    chance = fmean(window.standard_error**2 for window in windows)
    usual = sorted(map(abs, away))[int(_USUAL * (len(away) - 1))] / NormalDist().inv_cdf((1 + _USUAL) / 2)
    most = _CLIPPED * max(usual, math.sqrt(chance))
    clipped = [max(-most, min(most, distance)) for distance in away]
    centre = fmean(clipped)
    seen = sum((distance - centre) ** 2 for distance in clipped) / (len(clipped) - 1)
    return seen - chance
