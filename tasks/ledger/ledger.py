"""The whole ledger, as flows and commands see it."""

from everfit.tasks.ledger.records import TurnStory
from everfit.tasks.ledger.requests import Calls


class Ledger(Calls):
    """The SQL record of turns, decisions, releases and leases; made by `Ledger.open`.

    Example:
        >>> ledger = Ledger.open(Settings())
        >>> with ledger.take_turn("flight-delays", Trigger(), window) as turn:
        ...     if not turn.settled:
        ...         ledger.finish_turn(turn, state="ChampionKept", verdict="keep", reasons=["no gain"])
    """

    def story(self, turn_id: str) -> TurnStory:
        """All that is known of one turn: itself, its decisions and its releases.

        Raises:
            LedgerError: there is no such turn.
        """
        turn = self.turn(turn_id)
        return TurnStory(
            turn=turn,
            decisions=tuple(self.decisions(turn.model, turn_id=turn_id)),
            releases=tuple(entry for entry in self.releases(turn.model) if entry.turn_id == turn_id),
        )
