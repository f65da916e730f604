"""A turn that was called for is started by a run of the training deployment, and by another one if that broke off."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import DeploymentFilter
from support.training import a_spec

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.steps import requests
from everfit.tasks.triage.admission import Admission
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

WINDOW = Window(until=datetime(2024, 3, 1, tzinfo=UTC))
TRIGGER = Trigger(kind="quality", id="the decision")


@flow(name="training")
def training(model: str, until: datetime, trigger: Trigger) -> None:
    """Stands for the flow that the runs would be of; none of them is run here."""


@pytest.fixture
def deployment() -> Iterator[UUID]:
    with get_client(sync_client=True) as client:
        made = training.to_deployment("small").apply()
        yield made
        client.delete_deployment(made)


def ask(context: Context) -> RequestOutcome:
    yes = Admission(admitted=True, reason="so it was decided")
    return context.ledger.turns.request("small", TRIGGER, WINDOW, may_start=lambda _: yes)


def started(deployment: UUID) -> list[str]:
    """The moments up to which the deployment's runs are to train, one per run."""
    with get_client(sync_client=True) as client:
        result = client.read_flow_runs(deployment_filter=DeploymentFilter(id={"any_": [deployment]}))
    return [run.parameters["until"] for run in result]


def test_a_turn_is_started_once_and_once_more_when_it_broke_off(workspace: Path, deployment: UUID) -> None:
    context = Context(a_spec(), Settings())
    first = ask(context)
    for _ in range(3):  # by many, of whom each was told that it was granted
        requests.start_turn.fn(context, first)
        requests.start_turn.fn(context, ask(context))
    assert len(started(deployment)) == 1

    with suppress(RuntimeError), context.ledger.turns.take("small", TRIGGER, WINDOW):
        requests.start_turn.fn(context, first)  # it is being run: nothing is to be started
        raise RuntimeError("out of memory")
    requests.start_turn.fn(context, first)  # nobody has called for it anew
    assert len(started(deployment)) == 1

    again = ask(context)
    assert (again.start, again.turn_id) == (True, first.turn_id)
    for _ in range(3):
        requests.start_turn.fn(context, again)
        requests.start_turn.fn(context, ask(context))
    assert started(deployment) == [started(deployment)[0]] * 2
