"""The autocorrelation of a model's earlier comparisons, as evidence for the next one. Pure.

Ten days don't show whether the gains of neighbouring days are alike. The lives of earlier champions have had
days of their own, which the present comparison does not use: see `statistics/autocorrelation.py`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from everfit.tasks.core.paired_comparison import Autocorrelation, EarlierGains
from everfit.tasks.core.records import Window

_MOST_CHAMPIONS = 12
"""The number of earlier champions whose comparisons are handed on, the newest ones: more are never counted."""


def earlier_gains(kept: Iterable[Mapping[str, Any]], since: datetime) -> tuple[EarlierGains, ...]:
    """Return the autocorrelation of the last comparison with each earlier champion, oldest first.

    Args:
        kept: The gate's evidence of earlier turns, as the ledger keeps it, oldest first. Evidence of an everfit that
            did not record it yet tells nothing.
        since: The beginning of the rows that the present champion has not seen. Only comparisons on rows before it
            count, which share no row with the present one.
    """
    known: dict[int, EarlierGains] = {}
    for evidence in kept:
        champion, paired = evidence.get("champion_version"), evidence.get("comparison") or {}
        try:
            holdout = Window.model_validate(evidence.get("holdout"))
        except ValidationError:
            continue
        if not isinstance(champion, int) or holdout.until > since:
            continue
        gains = EarlierGains(
            champion=champion,
            overall=_autocorrelation(paired.get("autocorrelation")),
            within=_autocorrelation(paired.get("autocorrelation_within")),
        )
        if gains.overall is not None or gains.within is not None:
            known.pop(champion, None)
            known[champion] = gains
    return tuple(known.values())[-_MOST_CHAMPIONS:]


def _autocorrelation(kept: object) -> Autocorrelation | None:
    try:
        return Autocorrelation.model_validate(kept, extra="ignore")
    except ValidationError:
        return None
