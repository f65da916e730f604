"""How much of a loss the turns of a model have won back so far. Pure."""

from collections.abc import Sequence
from datetime import datetime

from everfit.tasks.core.records import Record
from everfit.tasks.triage.history import PastTurn


class WonBack(Record):
    """The results of the turns that answered a loss.

    Attributes:
        turns: Number of these turns whose result is known.
        total: Sum of the shares of the loss that each won back, from 0 to 1 each.
    """

    turns: int
    total: float

    @property
    def share(self) -> float:
        """The share that the next turn is expected to win back.

        Before the first result a turn is assumed to win back all. That counts as much as one turn, so a few
        results outweigh it.
        """
        return (1 + self.total) / (1 + self.turns)


def won_back(turns: Sequence[PastTurn], since: datetime) -> WonBack:
    """Return what turns have won back of the losses that called them.

    A turn that kept the champion won back nothing. A new champion counts by its gain over the previous one on the same
    live rows; while that is not known, its turn says nothing.

    Args:
        turns: The model's turns.
        since: Turns of data that ends earlier are forgotten, so that a model is given another chance.
    """
    shares = [
        share for turn in turns if turn.kind == "quality" and turn.until > since and (share := _share(turn)) is not None
    ]
    return WonBack(turns=len(shares), total=sum(shares))


def _share(turn: PastTurn) -> float | None:
    """Return the share of its loss that a turn won back; None if it says nothing."""
    if turn.loss is None or turn.loss <= 0:
        return None
    if turn.outcome == "kept" and turn.waits is None:
        return 0.0
    if turn.outcome == "promoted" and turn.live_gain is not None:
        return min(1.0, max(0.0, turn.live_gain / turn.loss))
    return None
