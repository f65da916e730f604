"""When to try a turn: the number of rows with mature labels that the champion has not been trained on. Pure.

A try is cheap and shows whether a model fitted now is better. So it need not wait for a loss of quality. After a try in
vain the next one waits until the rows have grown by a factor: a model in a quiet world is tried about log2(n) times in
n windows, and one in a moving world at every look. The rows of an earlier try count again in the next one.
"""

from datetime import timedelta

from pydantic import FiniteFloat

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, Window
from everfit.tasks.triage.history import PastTurn
from everfit.tasks.triage.non_overlapping import NEARLY
from everfit.tasks.triage.signals import LabelsSignal

_BLOCKS = 2
"""The gate judges on at least this many blocks of rows, each of `gate.min_rows`."""


class Cadence(Record):
    """The sum behind the next try of a turn.

    Attributes:
        rows: Rows with mature labels that the champion has not been trained on.
        needed: Number of such rows from which a turn is tried.
        last: The same number at the last try, if that did not replace the champion.
        near: Whether the last try measured a gain that was not certain.
        early: Whether the rows span less than a monitoring window.
        worthless: Why a turn would not pay off; empty if it may.
    """

    rows: int
    needed: int
    last: int | None = None
    near: bool = False
    early: bool = False
    worthless: str = ""

    @property
    def due(self) -> bool:
        """Whether a turn should be tried now."""
        return self.rows >= self.needed and not self.early and not self.worthless

    @property
    def summary(self) -> str:
        """The sum in words."""
        since = f"{self.rows:,} rows with mature labels since the champion was trained"
        if self.last:
            came = "gained too little to be certain" if self.near else "did not help"
            then = f"the last try at {self.last:,} {came}, so the next is at {self.needed:,}"
        else:
            then = f"a turn is tried from {self.needed:,}"
        if self.early and self.rows >= self.needed:
            then += ", once they span a monitoring window"
        return "; ".join([since, then, *([self.worthless] if self.worthless else [])])


def next_try(
    labels: LabelsSignal, last: PastTurn | None, *, gate_rows: int, window: timedelta, policy: RetrainingPolicy
) -> Cadence | None:
    """Return when a turn is tried next.

    Args:
        labels: Counts of the rows with mature labels.
        last: The last completed turn, if it did not train the champion.
        gate_rows: The smallest number of rows that the gate judges by (`gate.min_rows`).
        window: Length of a monitoring window.
        policy: The growth that the next try waits for.

    Returns:
        None if the rows could not be counted.
    """
    if not labels.measured or labels.unseen_rows is None:
        return None
    base = _BLOCKS * gate_rows
    before = labels.unseen_rows - labels.new_rows if last is not None else 0
    factor = growth(last, policy) if last is not None else 1.0
    return Cadence(
        rows=labels.unseen_rows,
        needed=max(base, round(factor * before)),
        last=before if last is not None and before > 0 else None,
        near=last is not None and _is_near(last.gain),
        early=_spans_less(labels.unseen, window),
    )


def growth(last: PastTurn, policy: RetrainingPolicy) -> float:
    """Return the factor by which rows grow until the next try: half the growth after a gain that was not certain."""
    factor = policy.back_off_factor
    return 1 + (factor - 1) / 2 if _is_near(last.gain) else factor


def _is_near(gain: FiniteFloat | None) -> bool:
    return gain is not None and gain > 0


def _spans_less(unseen: Window | None, window: timedelta) -> bool:
    """Return whether rows span less than a window; windows of calendar months differ a little."""
    if unseen is None or unseen.since is None:
        return False
    return unseen.until - unseen.since < (1 - NEARLY) * window
