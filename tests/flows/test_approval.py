"""Stories of challengers that wait for a person."""

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.flow_runs import resume_flow_run
from support.deliveries import SPEC, deliveries, write_month
from support.events import emitted

from everfit.blocks.errors import EverfitError, LedgerError
from everfit.blocks.roles import RolesPolicy
from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.approval_flow import approval
from everfit.flows.training_flow import training
from everfit.tasks import gate as gating
from everfit.tasks.core.event_names import APPROVAL_REQUESTED, RELEASE_PROMOTED, TURN_FINISHED
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.core.records import Trigger
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.incidents.message import message_of
from everfit.tasks.registry import model_registry
from everfit.tasks.release import approvals
from everfit.tasks.release.approval import ApprovalError, answer_request, signature_of
from everfit.tasks.release.release import release
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def run(model: Path, reason: str = "") -> dict[str, Any]:
    return result_of(training(str(model), MARCH, Trigger(reason=reason), return_state=True))


@pytest.fixture(scope="module")
def _asked(prefect_server: None, _empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a turn ended as `AwaitingApproval`."""
    folder = tmp_path_factory.mktemp("asked")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("EVERFIT_WORKSPACE", str(folder / ".everfit"))
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / '.everfit' / 'mlflow.db'}")
        (folder / ".everfit").mkdir()
        shutil.copy(_empty_mlflow, folder / ".everfit" / "mlflow.db")
        write_month(folder, "winter", deliveries("2024-01-01", 60))
        (folder / "deliveries.yaml").write_text(yaml.safe_dump(SPEC | {"gate": {"approval": "always"}}))
        assert run(folder / "deliveries.yaml")["state"] == "AwaitingApproval"
    return folder


@pytest.fixture
def here(_asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The model whose challenger waits, in a copy of that folder."""
    shutil.copytree(_asked, tmp_path / "copy")
    folder = tmp_path / "copy"
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EVERFIT_WORKSPACE", str(folder / ".everfit"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / '.everfit' / 'mlflow.db'}")
    return Context(load_spec("deliveries.yaml"), Settings())


def waiting(here: Context) -> str:
    (turn,) = here.ledger.turns.of("deliveries", state="AwaitingApproval")
    return turn.id


def decide(here: Context, said: Any = "approve", **given: Any) -> Any:
    given = {"by": "ann", "reason": "the gain is real", "now": datetime.now(UTC)} | given
    return approvals.decide_approval(here, given.pop("turn", None) or waiting(here), said, **given)


def left(here: Context) -> Any:
    """All that an approval could change."""
    ledger, client = here.ledger, here.mlflow
    (turn,) = ledger.turns.of("deliveries")
    aliases = [getattr(model_registry, name)(client, "deliveries") for name in ("champion", "challenger")]
    tags = client.get_model_version("deliveries", "1").tags
    return turn, aliases, tags, ledger.decisions.of("deliveries"), ledger.releases.of("deliveries")


def test_what_waits_is_registered_and_released_to_nobody(here: Context):
    turn, (champion, challenger), *_, releases = left(here)

    assert turn.reasons[0].startswith("Waits for approval of challenger 1 as the first champion, because")
    assert champion is None
    assert challenger.version == 1
    assert challenger.trained_until == MARCH - timedelta(days=1)  # fitted again on all rows already
    assert releases == []
    # Whoever listens is told what to decide, until when, and where the evidence is.
    asked = emitted("deliveries", turn.started_at, APPROVAL_REQUESTED)[APPROVAL_REQUESTED]
    assert (asked["turn_id"], asked["version"], asked["headline"]) == (turn.id, 1, turn.reasons[0])
    assert datetime.fromisoformat(asked["expires_at"]) == turn.finished_at + timedelta(days=7)
    assert asked["evidence"]["command"] == f"everfit explain {turn.id}"


def test_an_approved_challenger_is_the_champion_and_who_said_so_is_on_record(here: Context):
    turn = decide(here)

    assert turn.state == "Promoted"
    assert turn.reasons[0] == "Approved by ann (as stated): the gain is real"
    settled, (champion, challenger), tags, decisions, (release,) = left(here)
    assert settled == turn
    assert champion.version == 1
    assert challenger is None
    assert (release.state, release.actor, release.turn_id, release.version) == (
        "verified",
        "ann (as stated)",
        turn.id,
        1,
    )
    assert {name: tags[f"everfit.{name}"] for name in ("approval", "approved_by", "approval_reason")} == {
        "approval": "approve",
        "approved_by": "ann (as stated)",
        "approval_reason": "the gain is real",
    }
    assert [(decision.kind, decision.verdict) for decision in decisions] == [
        ("gate", "needs_approval"),
        ("approval", "approve"),
    ]
    # MLflow's page no longer says that it waits.
    card = here.mlflow.get_model_version("deliveries", "1").description
    assert "Approved by ann (as stated)" in card.splitlines()[2]
    assert "Waits for approval" not in card.split("## Decision")[0]


def test_a_rejected_challenger_changes_nothing_and_is_not_asked_about_again(here: Context):
    turn = decide(here, "decline", reason="not before the holidays")

    assert turn.state == "Declined"
    _, aliases, tags, _, releases = left(here)
    assert aliases == [None, None]
    assert tags["everfit.declined_by"] == "ann (as stated)"
    assert releases == []
    assert run(Path("deliveries.yaml"), reason="somebody tries again")["state"] == "NothingNew"


def test_a_request_is_one_incident_with_reminders_until_it_ends(here: Context):
    turn_id = waiting(here)
    (asked,) = here.ledger.incidents.open("deliveries")
    assert (asked.subject, asked.severity) == (f"approval {turn_id}", "warning")
    first = message_of(asked)
    assert first.subject == "everfit: deliveries: warning: version 1 waits for approval"
    assert f"Command: everfit approve deliveries {turn_id} --by NAME" in first.body
    assert "Why: Waits for approval of challenger 1 as the first champion" in first.body

    # A day later nobody has answered yet,
    approvals.reconcile(here, asked.updated_at + timedelta(hours=1))
    assert here.ledger.incidents.open("deliveries")[0].notified_at == asked.notified_at
    later = asked.updated_at + here.spec.notify.repeated_after
    approvals.reconcile(here, later)
    (reminded,) = here.ledger.incidents.open("deliveries")
    assert (reminded.id, reminded.notified_at, reminded.looks) == (asked.id, later, 3)

    # and then somebody does.
    decide(here, "decline", reason="not before the holidays", now=later)
    assert here.ledger.incidents.open("deliveries") == []
    (over,) = here.ledger.incidents.of("deliveries")
    assert "Outcome: Declined by ann (as stated): not before the holidays" in message_of(over).body


def test_what_nobody_decided_is_rejected_when_it_expires(here: Context):
    asked = left(here)[0].finished_at

    assert approvals.expire_approvals(here, asked + timedelta(days=7, seconds=-1)) == []
    (turn,) = approvals.expire_approvals(here, asked + timedelta(days=7))
    assert here.ledger.incidents.open("deliveries") == []

    assert (turn.state, left(here)[1]) == ("Declined", [None, None])
    assert turn.reasons[0].startswith("Declined by everfit: no decision was carried out before")
    assert approvals.expire_approvals(here, asked + timedelta(days=8)) == []


def test_an_approval_is_refused_when_the_champion_changed(here: Context):
    turn_id = waiting(here)
    copy = here.mlflow.get_model_version("deliveries", "1")
    here.mlflow.create_model_version("deliveries", copy.source, run_id=copy.run_id)
    model_registry.set_alias(here.mlflow, "deliveries", model_registry.CHAMPION, 2)

    with pytest.raises(ApprovalError, match="Superseded by everfit: when the challenger was judged there was no"):
        decide(here)

    turn, (champion, challenger), _, _, (release,) = left(here)
    assert (turn.id, turn.state) == (turn_id, "Superseded")
    assert (champion.version, challenger, release.kind) == (2, None, "outside")
    # The same rows are worth another turn, for there is another champion to be compared with.
    with pytest.raises(EverfitError, match="has trained on all rows"):
        run(Path("deliveries.yaml"), reason="again")


def test_a_champion_that_changes_while_a_turn_runs_ends_it_as_superseded(model: str, monkeypatch: pytest.MonkeyPatch):
    here = Context(load_spec(model), Settings())
    decide_as_ever = gating.decide

    def meanwhile(*evidence: Any) -> Any:
        if model_registry.versions(here.mlflow, "deliveries") == [
            1
        ]:  # the challenger is registered, and about to be judged
            copy = here.mlflow.get_model_version("deliveries", "1")
            here.mlflow.create_model_version("deliveries", copy.source, run_id=copy.run_id)
            release(here.ledger, here.mlflow, "deliveries", 2, expected_previous=None, reason="now!", actor="bob")
        return decide_as_ever(*evidence)

    monkeypatch.setattr(gating, "decide", meanwhile)

    turn = run(Path(model))

    assert turn["state"] == "Superseded"
    assert "there was no champion, and now it is version 2" in turn["reasons"][0]
    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert champion.version == 2
    assert [entry.actor for entry in here.ledger.releases.of("deliveries")] == ["bob"]


@pytest.mark.parametrize(
    ("said", "given", "words"),
    [
        ("approve", {"by": " "}, "the name is empty"),
        ("decline", {"reason": ""}, "the reason is empty"),
        ("approve", {"turn": "deliveries-1"}, "there is no turn 'deliveries-1'"),
    ],
)
def test_a_mistaken_answer_changes_nothing(here: Context, said: Any, given: dict[str, str], words: str):
    before = left(here)

    with pytest.raises(EverfitError, match=words):
        decide(here, said, **given)

    assert left(here) == before


def test_a_decided_turn_and_another_models_turn_are_refused(here: Context):
    turn = decide(here)
    before = left(here)

    with pytest.raises(ApprovalError, match=r"'Promoted' \(Approved by ann \(as stated\): the gain is real\)"):
        decide(here, "decline", turn=turn.id)
    other = Context(here.spec.model_copy(update={"name": "parcels"}), here.settings)
    with pytest.raises(ApprovalError, match="is of the model 'deliveries' and not of 'parcels'"):
        decide(other, turn=turn.id)
    assert left(here) == before


def test_an_approval_that_a_crash_broke_off_is_carried_out_by_the_next_command(here: Context):
    request = approvals.request_in(here, waiting(here))
    approvals._record(
        here, answer_request(request, "approve", [signature_of(Person(name="ann"), "go")])
    )  # and the process dies

    with pytest.raises(LedgerError, match="it can't become 'decline'"):
        approvals._record(here, answer_request(request, "decline", [signature_of(Person(name="bob"), "no")]))
    # It was approved in time, whenever it is carried out.
    (done,) = approvals.reconcile(here, request.expires_at + timedelta(days=1))

    assert "ended as Promoted: Approved by ann (as stated): go" in done
    assert left(here)[4][0].actor == "ann (as stated)"


@pytest.mark.parametrize("by", ["ann", "bob"])
def test_a_decline_that_was_broken_off_ends_well_for_the_person_who_repeats_it(here: Context, by: str):
    (turn,) = here.ledger.turns.of("deliveries")
    request = approvals.request_in(here, turn.id)
    approvals._record(here, answer_request(request, "decline", [signature_of(Person(name="ann"), "no")]))

    def decline() -> str:
        return approvals.decide_approval(here, turn.id, "decline", by=by, reason="no", now=datetime.now(UTC)).state

    if by == "ann":
        assert decline() == "Declined"
    else:
        with pytest.raises(ApprovalError, match="its state is 'Declined'"):
            decline()


def test_of_two_people_who_answer_at_once_one_is_heard(here: Context):
    turn_id, answers = waiting(here), {}

    def say(said: Any, by: str) -> None:
        try:
            answers[by] = approvals.decide_approval(
                here, turn_id, said, by=by, reason="so", now=datetime.now(UTC)
            ).state
        except EverfitError as error:
            answers[by] = error

    people = [threading.Thread(target=say, args=given) for given in (("approve", "ann"), ("decline", "bob")) * 2]
    for person in people:
        person.start()
    for person in people:
        person.join()

    turn, (champion, _), *_, decisions, releases = left(here)
    approved = turn.state == "Promoted"
    assert turn.state in {"Promoted", "Declined"}
    assert (champion is not None) == approved == (len(releases) == 1)
    assert [decision.verdict for decision in decisions] == ["needs_approval", "approve" if approved else "decline"]


def resumed(said: str, flow_run_id: Any) -> Any:
    resume_flow_run(flow_run_id, run_input={"decision": said, "name": "ann", "reason": "seen in the UI"})
    with get_client(sync_client=True) as client:
        return run_flow(approval, flow_run=client.read_flow_run(flow_run_id), return_type="state")


@pytest.mark.parametrize(("said", "state"), [("approve", "Promoted"), ("decline", "Declined")])
def test_a_run_of_the_approval_flow_holds_no_worker_while_it_waits(here: Context, said: str, state: str):
    deployment = approval.to_deployment(f"waits-{said}").apply()
    with get_client(sync_client=True) as client:
        parameters = {"model": "deliveries.yaml", "turn_id": waiting(here)}
        flow_run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
        with pytest.raises(Pause):  # which ends a worker's process
            run_flow(approval, flow_run=flow_run)
        suspended = client.read_flow_run(flow_run.id).state

    assert (suspended.type, suspended.name) == (StateType.PAUSED, "Suspended")
    assert left(here)[0].state == "AwaitingApproval"

    answered = datetime.now(UTC)
    ended = resumed(said, flow_run.id)

    assert (ended.type, ended.name) == (StateType.COMPLETED, state)
    turn = left(here)[0]
    assert turn.reasons[0] == f"{'Approved' if said == 'approve' else 'Declined'} by ann (as stated): seen in the UI"
    wanted = (TURN_FINISHED, *([RELEASE_PROMOTED] if said == "approve" else []))
    assert emitted("deliveries", answered, *wanted)[TURN_FINISHED]["state"] == state
    # Asked once more about a turn that is decided, the flow says how it ended.
    again: Any = approval("deliveries.yaml", turn.id, return_state=True)
    assert again.name == state


def test_two_people_must_approve_and_one_may_decline(here: Context):
    gate = here.spec.gate.model_copy(update={"approvals": 2})
    roles = RolesPolicy(approve=("ann", "bob", "cid"))
    here = Context(here.spec.model_copy(update={"gate": gate, "roles": roles}), here.settings)
    turn_id = waiting(here)

    with pytest.raises(RoleError, match=r"eve \(as stated\) may not approve"):
        decide(here, by="eve")
    assert [entry.verdict for entry in here.ledger.decisions.of("deliveries", kind="role")] == ["refused"]
    for _ in range(2):  # the same person's second approval adds nothing
        assert decide(here, by="ann").state == "AwaitingApproval"
    assert [vote.person.name for vote in approvals.votes(here, turn_id)] == ["ann"]
    turn = decide(here, by="bob", reason="it is real")

    assert turn.state == "Promoted"
    assert turn.reasons[0] == "Approved by ann (as stated) and bob (as stated): the gain is real; it is real"
    *_, tags, decisions, (release,) = left(here)
    assert tags["everfit.approved_by"] == release.actor == "ann (as stated) and bob (as stated)"
    assert [entry.kind for entry in decisions][-3:] == ["approval-vote", "approval-vote", "approval"]
