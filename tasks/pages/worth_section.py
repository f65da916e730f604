"""The section of a model's page on what the loop has been worth."""

from typing import Any

from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.kept_worth import kept_worth
from everfit.tasks.monitoring.worth import worth_heads, worth_rows, worth_summary
from everfit.tasks.pages.elements import table
from everfit.tasks.pages.markup import Html, tag


def worth_content(ledger: Ledger, model: str) -> dict[str, Any]:
    """Return what the section shows; empty before the first month was measured.

    Args:
        ledger: The ledger.
        model: The model's name.
    """
    if not (months := kept_worth(ledger, model)):
        return {}
    return {"summary": worth_summary(months), "heads": worth_heads(months), "rows": list(worth_rows(months))}


def worth_section(content: dict[str, Any]) -> Html | None:
    """Return the section; None if there is nothing to show.

    Args:
        content: As `worth_content` returns it.
    """
    if not content:
        return None
    return tag(
        "section",
        tag("h2", "Worth of the loop"),
        tag("p", content["summary"]),
        table(content["heads"], content["rows"], "Gain by month over the first model and the champion before"),
    )
