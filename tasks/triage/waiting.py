"""When a challenger that waits for evidence is judged again: by the rows with mature labels that came since. Pure."""

from everfit.tasks.core.records import Record
from everfit.tasks.triage.history import History
from everfit.tasks.triage.signals import LabelsSignal

_SHARE = 1 / 3
"""It is judged again when this share of the rows that it was judged by has come. After a gain that was not certain, the
next turn is tried at about twice as many, so a judgement comes first where windows are short."""


class WaitingChallenger(Record):
    """A challenger that waits for evidence, and the sum behind its next judgement.

    Attributes:
        version: The challenger.
        judged_by: Rows that it was last judged by.
        more: Rows that got a mature label since.
    """

    version: int
    judged_by: int
    more: int

    @property
    def needed(self) -> int:
        """The number of such rows from which it is judged again."""
        return max(1, round(_SHARE * self.judged_by))

    @property
    def due(self) -> bool:
        """Whether it is judged now."""
        return self.more >= self.needed

    @property
    def summary(self) -> str:
        """The sum in words."""
        return (
            f"version {self.version} waits for evidence: it was judged by {self.judged_by:,} rows, and {self.more:,} "
            f"got a mature label since; from {self.needed:,} on it is judged again, without another training"
        )


def waiting_challenger(labels: LabelsSignal, history: History, champion: int) -> WaitingChallenger | None:
    """Return the challenger that waits for evidence against a champion.

    Args:
        labels: Counts of the rows with mature labels.
        history: The turns so far.
        champion: The version of the present champion.

    Returns:
        None if no challenger waits, or the rows could not be counted.
    """
    last, rows = history.last_try(champion), labels.unseen_rows
    if last is None or last.waits is None or last.waits_against != champion or not labels.measured or rows is None:
        return None
    more, version, judged_by = labels.new_rows, last.waits, last.judged_by
    for look in history.turns:
        if look.until > last.until and look.kind == "waiting" and look.outcome == "other":
            if look.waits != version:
                return None  # it was found to be no better, or out of date
            judged_by = look.judged_by
            more = more if look.unseen_rows is None else rows - look.unseen_rows
    return WaitingChallenger(version=version, judged_by=judged_by or 0, more=more)
