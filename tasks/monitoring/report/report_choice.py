"""Whether a look at a window gets a drift report. Pure: the policy, the look before and the drift in, a choice out."""

from collections.abc import Collection
from datetime import datetime

from everfit.blocks.monitoring import MonitoringPolicy


def draws_report(
    policy: MonitoringPolicy,
    until: datetime,
    last_until: datetime | None,
    *,
    drifted: Collection[str] = (),
    last_drifted: Collection[str] = (),
) -> bool:
    """Return whether a report is drawn.

    Args:
        policy: The spec's policy.
        until: The end of the window.
        last_until: The end of the window of the look before; None for the first look.
        drifted: The columns that have drifted; empty while that is not known.
        last_drifted: The columns that had drifted in the look before.
    """
    if policy.report != "daily":
        return policy.report == "always"
    if last_until is None or last_until.date() != until.date():
        return True
    return not set(drifted) <= set(last_drifted)
