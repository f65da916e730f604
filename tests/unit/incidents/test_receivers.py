"""A message is not lost because the server can't say who gets it."""

from datetime import UTC, datetime

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.incidents import delivery
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.recording import follow_up
from everfit.tasks.turns.context import Context

NOBODY = "http://127.0.0.1:9/api"
SPEC = {
    "name": "sales",
    "task": "regression",
    "source": {"kind": "files", "path": "sales.csv"},
    "columns": {"key": ["id"], "event_time": "at", "target": "y"},
}


@pytest.mark.usefixtures("workspace")
def test_a_message_stays_due_while_the_server_does_not_say_who_gets_it() -> None:
    context = Context(ModelSpec.model_validate(SPEC), Settings())
    alert = Alert(subject="service", severity="critical", what="the service is down", signature="down")

    with temporary_settings({PREFECT_API_URL: NOBODY}):
        with pytest.raises(delivery.ReceiversUnknownError, match="everfit_notification can't be read"):
            delivery.receivers_of(None)
        incident = follow_up(context, "service", alert, key="1", at=datetime(2024, 3, 1, tzinfo=UTC))

    assert incident is not None
    assert incident.due == "opened"
    (sent,) = incident.messages
    assert (sent.to, sent.kind) == ("everfit_notification", "opened")
    assert "can't be read" in sent.error
    (kept,) = context.ledger.incidents.open("sales")
    assert kept.due == "opened"


def test_a_spec_that_names_its_receivers_asks_no_server() -> None:
    with temporary_settings({PREFECT_API_URL: NOBODY}):
        assert delivery.receivers_of(("webhook/on-call",)) == ("webhook/on-call",)
        assert delivery.receivers_of(()) == ()
