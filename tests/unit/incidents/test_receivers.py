"""A message is not lost because the server can't say who gets it."""

from datetime import UTC, datetime

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.incidents import delivery
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.default_receivers import ReceiversByProject
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
            delivery.receivers_of(None, "sales")
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
        assert delivery.receivers_of(("webhook/on-call",), "sales") == ("webhook/on-call",)
        assert delivery.receivers_of((), "sales") == ()


def test_each_project_on_a_server_has_a_block_of_its_own() -> None:
    shop = ReceiversByProject().with_project("shop", "slack-webhook/shop", ["parcels", "returns"])
    assert (shop.of("parcels"), shop.of("of nobody")) == ("slack-webhook/shop", "slack-webhook/shop")

    both = ReceiversByProject.read(shop.content()).with_project("bank", "slack-webhook/bank", ["loans"])
    assert [both.of(model) for model in ("parcels", "loans", "of nobody")] == [
        "slack-webhook/shop",
        "slack-webhook/bank",
        None,
    ]

    # A model that its project has no more is nobody's
    assert both.with_project("shop", "slack-webhook/shop", ["parcels"]).of("returns") is None


def test_the_block_of_an_earlier_version_is_of_the_project_that_is_set_up_first() -> None:
    assert ReceiversByProject.read("slack-webhook/all").of("parcels") == "slack-webhook/all"
    taken = ReceiversByProject.read("slack-webhook/all", "shop")
    assert taken.with_project("shop", taken.blocks["shop"], ["parcels"]).of("parcels") == "slack-webhook/all"
    assert ReceiversByProject.read(None).of("parcels") is None
