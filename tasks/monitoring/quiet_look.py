"""The choice of looks that have nothing new to see, so that they can end at once. Pure."""

from datetime import datetime, timedelta

from everfit.tasks.monitoring.signals.silence import FULL_LOOK
from everfit.tasks.monitoring.triage_history import JudgedWindow, LookBasis

_CALM = frozenset({"healthy", "watch"})
"""Verdicts after which nothing is pending."""


def nothing_is_new(last: JudgedWindow | None, basis: LookBasis, until: datetime, window: timedelta) -> str:
    """Return why a look may end at once; empty if it must measure.

    A full look is due once a day, or twice in a monitoring window, because a feed's silence shows by time alone.

    Args:
        last: The last look that measured.
        basis: The state now.
        until: The moment of the look.
        window: The length of a monitoring window.
    """
    if last is None or last.basis is None or basis.pending or last.basis != basis:
        return ""
    looked = last.decision.window.until
    if not looked < until < looked + min(FULL_LOOK, window / 2):
        return ""
    if last.decision.verdict not in _CALM or last.signals.failures():
        return ""
    return f"no prediction and no label has come since the full look at {looked:%Y-%m-%d %H:%M}"
