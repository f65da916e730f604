"""People are notified of an incident by the blocks that the spec names, and nothing is lost on the way."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed
from prefect.variables import Variable
from support.deliveries import SPEC
from support.processes import everfit
from support.receivers import MailServer, WebHook, serving

from everfit.blocks import NotificationAddress
from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.digest_flow import digest
from everfit.flows.upkeep_flow import upkeep
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.recording import follow_up, mark_seen
from everfit.tasks.ledger import Incident
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
BROKEN: dict[str, Any] = {
    "subject": "window",
    "severity": "warning",
    "what": "the data is broken",
    "signature": "weight missing",
    "why": ("weight is missing",),
    "chart": (0.75, 0.61),
    "chart_of": "roc_auc",
}


@pytest.fixture
def hook() -> Iterator[WebHook]:
    with serving(server := WebHook()):
        block = CustomWebhookNotificationBlock(
            name="on-call", url=server.url, json_data={"subject": "{{subject}}", "body": "{{body}}"}
        )
        block.save("on-call", overwrite=True)
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with serving(server := MailServer()):
        NotificationAddress(url=server.url).save("team", overwrite=True)
        yield server


@pytest.fixture
def context(workspace: Path) -> Context:
    path = workspace.parent / "deliveries.yaml"
    notify = {"critical": "custom-webhook/on-call", "warning": ["everfit-notification-address/team"]}
    path.write_text(yaml.safe_dump(SPEC | {"owner": "ann", "notify": notify}))
    return Context(load_spec(str(path)), Settings())


def look(context: Context, number: int, found: dict[str, Any] | None) -> Incident | None:
    alert = None if found is None else Alert(**found)
    return follow_up(context, "window", alert, key=f"look {number}", at=NOON + number * timedelta(hours=1))


def test_each_severity_has_its_receivers_and_each_change_its_message(
    context: Context, hook: WebHook, mail: MailServer
) -> None:
    # When the data is broken for some hours, somebody looks after it, and then a person is needed
    for number in range(3):
        look(context, number, BROKEN)
    mark_seen(context, NOON + timedelta(days=3), "ann")
    look(context, 40, BROKEN)
    look(context, 41, BROKEN | {"severity": "critical", "what": "a person is needed"})
    look(context, 42, None)

    # Then the team has one mail with the picture, and the person on call what came later
    (first,) = mail.received
    assert first["Subject"] == "everfit: deliveries: warning: the data is broken"
    parts = [part for part in first.walk() if not part.is_multipart()]
    assert [part.get_filename() for part in parts if part.get_filename()] == ["incident.png"]
    text = str(parts[0].get_payload(decode=True), "utf-8")
    assert "weight is missing" in text
    assert "everfit seen deliveries" in text
    assert [content["subject"] for content in hook.received] == [
        "everfit: deliveries: worse, critical: a person is needed",
        "everfit: deliveries: over, critical: a person is needed",
    ]
    (incident,) = context.ledger.incidents.of("deliveries")
    assert (incident.state, incident.looks, incident.seen_by) == ("closed", 5, "ann")
    assert [sent.kind for sent in incident.messages] == ["opened", "worse", "over"]


def test_a_message_that_did_not_arrive_is_sent_again_and_the_command_says_so(context: Context, hook: WebHook) -> None:
    # Given a receiver that is down
    hook.status = 503
    look(context, 0, BROKEN | {"severity": "critical"})
    spec = str(Path.cwd() / "deliveries.yaml")
    (_, shown, _), (code, seen, error) = everfit(
        ["incidents"], ["seen", spec, "--by", "ann", "--until", "2099-01-01"], PREFECT_API_URL=PREFECT_API_URL.value()
    )
    assert code == 0, error
    assert "the message did not reach custom-webhook/on-call: Server error '503" in shown
    assert hook.url not in shown  # it is a secret
    assert "ann looks after it until Thu 2099-01-01" in seen

    # When it is up again at the next look, then it has the message, once
    hook.status = 200
    look(context, 1, BROKEN | {"severity": "critical"})
    look(context, 2, BROKEN | {"severity": "critical"})
    assert [content["subject"] for content in hook.received] == ["everfit: deliveries: critical: the data is broken"]


def test_a_flow_that_fails_each_hour_is_one_incident_until_it_succeeds(context: Context, mail: MailServer) -> None:
    def ends(state: Any, hooks: Any, deployment: bool = True) -> None:
        path = str(Path.cwd() / "deliveries.yaml")
        deployed = uuid4() if deployment else None
        run = FlowRun(flow_id=uuid4(), parameters={"model": path}, deployment_id=deployed, name="upkeep-deliveries")
        for call in hooks:
            call(upkeep, run, state)

    ends(Failed(message="no disk"), on_failure, deployment=False)  # at a terminal, which shows it
    assert not mail.received
    for _ in range(3):
        ends(Failed(message="no disk"), on_failure)
    ends(Completed(), on_completion)

    assert [message["Subject"] for message in mail.received] == [
        "everfit: deliveries: warning: the flow upkeep ended as Failed",
        "everfit: deliveries: over, warning: the flow upkeep ended as Failed",
    ]


def test_the_digest_names_the_models_that_need_a_person_first(context: Context, hook: WebHook) -> None:
    look(context, 0, BROKEN)
    Variable.set("everfit_notification", "custom-webhook/on-call", overwrite=True)
    try:
        sent = result_of(digest(["calm", "deliveries"], NOON + timedelta(days=1), return_state=True))
    finally:
        Variable.unset("everfit_notification")

    assert sent["sent"] == {"custom-webhook/on-call": ""}
    (received,) = hook.received
    assert received["subject"] == "everfit: 2 models, 1 with an open incident"
    assert received["body"].splitlines()[2:] == [
        "deliveries: no champion yet",
        "  open: warning: the data is broken, since 2024-05-01 12:00",
        "  no turn; no look",
        "calm: no champion yet",
        "  no turn; no look",
    ]


def test_the_digest_takes_names_and_no_specs() -> None:
    with pytest.raises(ParameterTypeError, match=r"models\.0"):
        digest(["deployments/models/calm.yaml"])
