"""The choice of looks that have nothing new to see, so that they can end at once. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from everfit.tasks.monitoring.signals.silence import FULL_LOOK
from everfit.tasks.monitoring.triage_history import JudgedWindow, LookBasis

_CALM = frozenset({"healthy", "watch"})
"""Verdicts after which nothing is pending."""
_LOOK_BACK = timedelta(days=28)
_FEWEST_PAUSES = 5
_PATIENCE = 1.25
"""A pause may be longer than the usual one by this factor."""


def nothing_is_new(judged: Sequence[JudgedWindow], basis: LookBasis, until: datetime, window: timedelta) -> str:
    """Return why a look may end at once; empty if it must measure.

    A feed's silence shows by time alone. So a full look is due once a day, twice in a monitoring window, and once
    nothing has come for longer than usual.

    Args:
        judged: The looks that measured, the newest last.
        basis: The state now.
        until: The moment of the look.
        window: The length of a monitoring window.
    """
    last = judged[-1] if judged else None
    if last is None or last.basis is None or basis.pending or last.basis != basis:
        return ""
    looked = last.decision.window.until
    if not looked < until < looked + min(FULL_LOOK, window / 2, _PATIENCE * _usual_pause(judged)):
        return ""
    if last.decision.verdict not in _CALM or last.signals.failures():
        return ""
    return f"no prediction and no label has come since the full look at {looked:%Y-%m-%d %H:%M}"


def _usual_pause(judged: Sequence[JudgedWindow]) -> timedelta:
    """Return the second longest time between two looks at which rows or labels had come; a day if few are known.

    One long pause is an outage or a holiday. The second longest came again.
    """
    known = [look for look in judged if look.decision.window.until > judged[-1].decision.window.until - _LOOK_BACK]
    news = [
        look.decision.window.until
        for before, look in pairwise(known)
        if before.basis is not None and look.basis is not None and before.basis.tables != look.basis.tables
    ]
    pauses = sorted(later - earlier for earlier, later in pairwise(news))
    return pauses[-2] if len(pauses) >= _FEWEST_PAUSES else FULL_LOOK
