"""Which releases of a model live rows have judged, as the gate's evidence for the next one. Pure."""

from collections.abc import Iterable

from everfit.tasks.gate.earlier_releases import EarlierRelease
from everfit.tasks.triage.signals import Signals


def judged_releases(signals: Iterable[Signals]) -> tuple[EarlierRelease, ...]:
    """Return the releases that the first live rows of the new champion and the one before it have judged, oldest first.

    A rollback is left out: nobody expected an earlier version to be better than it was.

    Args:
        signals: The evidence of the windows that count, oldest first.
    """
    known: dict[int, EarlierRelease] = {}
    for window in signals:
        version, previous = window.reference.version, window.previous
        if previous.gain is None or previous.p_value is None or not previous.measured:
            continue
        if previous.version is not None and previous.version < version:
            known.setdefault(version, EarlierRelease(version=version, gain=-previous.gain, chance=1 - previous.p_value))
    return tuple(known.values())
