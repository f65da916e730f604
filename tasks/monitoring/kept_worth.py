"""Read what the loop has been worth from the ledger."""

from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.worth import WORTH, MonthWorth


def kept_worth(ledger: Ledger, model: str) -> list[MonthWorth]:
    """Return the months that were measured, oldest first.

    Args:
        ledger: The ledger.
        model: The model's name.
    """
    entries = ledger.decisions.of(model, kind=WORTH)
    return sorted((MonthWorth.recall(entry.record) for entry in entries), key=lambda month: month.month)
