"""The challenger of an earlier turn that waits for evidence, as the ledger has it."""

from collections.abc import Sequence
from dataclasses import dataclass

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import Split
from everfit.tasks.gate.waiting import Waiting
from everfit.tasks.ledger import Turn
from everfit.tasks.training.results import Fitted
from everfit.tasks.turns.turn_record import CHAMPION_KEPT, JUDGED, STILL_WAITING, WAITS_NO_LONGER, TurnRecord


@dataclass(frozen=True)
class Resumed:
    """A waiting challenger with what its turn has left.

    Attributes:
        waiting: As it waits.
        version: In the registry.
        challenger: Its models: those that were judged in its turn, and the registered one, which is judged on the rows
            since.
        registered: The registered model.
        split: The split of its turn.
        spec_digest: The digest of the spec that it was trained by.
    """

    waiting: Waiting
    version: ModelVersion
    challenger: Fitted
    registered: Fitted
    split: Split
    spec_digest: str


def waiting_of(turn: Turn) -> Waiting | None:
    """Return the challenger that waits since a turn, or still waited after it; None if none did."""
    if turn.state not in {CHAMPION_KEPT, STILL_WAITING}:
        return None
    return TurnRecord.readable({"waiting": turn.record.get("waiting")}).waiting


def find_waiting(turns: Sequence[Turn], champion: int | None) -> Waiting | None:
    """Return the challenger that waits for evidence against the champion.

    A newer challenger takes its place, whether it waits too or not, and so does a release.

    Args:
        turns: The model's turns, oldest first.
        champion: The version of the champion.
    """
    ended = JUDGED | {STILL_WAITING, WAITS_NO_LONGER}
    last = next((turn for turn in reversed(turns) if turn.state in ended), None)
    waiting = None if last is None else waiting_of(last)
    return waiting if waiting is not None and waiting.champion == champion else None


def resume(waiting: Waiting, origin: Turn) -> Resumed | None:
    """Return a waiting challenger with what its turn has left; None if that can't be used.

    Args:
        waiting: As it waits.
        origin: The turn that trained it.
    """
    record = TurnRecord.recall(origin.record)
    fitted, registered, split, version = record.fitted, record.refitted, record.split, record.version
    if fitted is None or registered is None or split is None or version is None or split.holdout.since is None:
        return None
    chain = fitted.chain if registered.path == fitted.path else (*fitted.chain, registered)
    *earlier, newest = (model.model_copy(update={"earlier": (), "best": None}) for model in chain)
    challenger = newest.model_copy(update={"earlier": tuple(earlier)})
    return Resumed(waiting, version, challenger, registered, split, origin.spec_digest)
