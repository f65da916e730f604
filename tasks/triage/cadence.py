"""When to try a turn: the number of rows with mature labels that the champion has not been trained on. Pure.

A try is cheap and shows whether a model fitted now is better. So it need not wait for a loss of quality. After a try in
vain the next one waits until the rows have grown by a factor: a model in a quiet world is tried about log2(n) times in
n windows, and one in a moving world at every look. The rows of an earlier try count again in the next one.
"""

from datetime import timedelta

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, Window
from everfit.tasks.triage.history import PastTurn
from everfit.tasks.triage.non_overlapping import NEARLY
from everfit.tasks.triage.signals import LabelsSignal

_TIMES = 2
"""The gate judges on a part of the rows, so there must be this many times its minimums."""
_LEAST_SHARE = 1 / 3
"""The least growth after a try that measured a gain, as a share of the growth after one that did not help."""
_WITHOUT_CLASS = 8
"""With this many times as many rows, a turn is tried though a class is rarer than the gate asks."""


class GateMinimums(Record):
    """The fewest rows that the gate judges by, of all and of the rarest class."""

    rows: int = 200
    class_rows: int = 20


class Cadence(Record):
    """The sum behind the next try of a turn.

    Attributes:
        rows: Rows with mature labels that the champion has not been trained on.
        needed: Number of such rows from which a turn is tried.
        last: The same number at the last try, if that did not replace the champion.
        factor: The growth of the rows from the last try to the next.
        near: Whether the last try measured a gain that was not certain.
        early: Whether the rows span less than a monitoring window.
        rarest: The rows of the rarest class, and how many are needed, if these are too few.
        worthless: Why a turn would not pay off; empty if it may.
    """

    rows: int
    needed: int
    last: int | None = None
    factor: float = 1.0
    near: bool = False
    early: bool = False
    rarest: tuple[int, int] | None = None
    worthless: str = ""

    @property
    def due(self) -> bool:
        """Whether a turn should be tried now."""
        return self.rows >= self.needed and not self.early and self.rarest is None and not self.worthless

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
        if self.rarest is not None:
            then += f", and {self.rarest[1]:,} of the rarest class, of which there are {self.rarest[0]:,}"
        return "; ".join([since, then, *([self.worthless] if self.worthless else [])])


def next_try(
    labels: LabelsSignal, last: PastTurn | None, *, least: GateMinimums, window: timedelta, policy: RetrainingPolicy
) -> Cadence | None:
    """Return when a turn is tried next.

    Args:
        labels: Counts of the rows with mature labels.
        last: The last completed turn, if it did not train the champion.
        least: The fewest rows that the gate judges by.
        window: Length of a monitoring window.
        policy: The growth that the next try waits for.

    Returns:
        None if the rows could not be counted.
    """
    if not labels.measured or labels.unseen_rows is None:
        return None
    base, of_class = _TIMES * least.rows, _TIMES * least.class_rows
    rarest = labels.rarest_rows
    is_rare = rarest is not None and rarest < of_class and labels.unseen_rows < _WITHOUT_CLASS * base
    before = labels.unseen_rows - labels.new_rows if last is not None else 0
    factor = growth(last, policy) if last is not None else 1.0
    return Cadence(
        rows=labels.unseen_rows,
        needed=max(base, round(factor * before)),
        last=before if last is not None and before > 0 else None,
        factor=factor,
        near=last is not None and last.growth_to_show is not None,
        early=_spans_less(labels.unseen, window),
        rarest=(rarest, of_class) if is_rare and rarest is not None else None,
    )


def growth(last: PastTurn, policy: RetrainingPolicy) -> float:
    """Return the factor by which rows grow until the next try.

    After a gain that was not certain, it is the growth that would show the gain if it stays as measured: at most the
    factor of the policy, and at least a third of its growth, since a try on almost the same rows shows nothing new.
    """
    factor = policy.back_off_factor
    if last.growth_to_show is None:
        return factor
    return min(factor, max(1 + (factor - 1) * _LEAST_SHARE, last.growth_to_show))


def _spans_less(unseen: Window | None, window: timedelta) -> bool:
    """Return whether rows span less than a window; windows of calendar months differ a little."""
    if unseen is None or unseen.since is None:
        return False
    return unseen.until - unseen.since < (1 - NEARLY) * window
