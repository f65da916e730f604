"""A service that runs on while its model is renamed: no answer is lost."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.spools import KINDS, batch, drain_of, logged

from everfit.blocks.settings import Settings
from everfit.infra.serving.spool import Spool
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.predictions import prediction_log
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import record_artifacts
from everfit.tasks.retention.renaming import Renaming, rename_model
from everfit.tasks.storage.former_names import note_renaming
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

UNTIL = datetime(2024, 1, 1, tzinfo=UTC)


def ids_in_the_log(model: str) -> list[str]:
    table = Workspace(Settings().workspace).table(model, "predictions")
    return sorted(prediction_log.read(table, None, "departs").get("_prediction_id", []))


def ask(service: Any, record: dict[str, Any], address: str = "flights") -> str:
    answer = service.client.post(f"/models/{address}/predict", json={"records": [record]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["predictions"][0]["prediction_id"])


@pytest.fixture(name="there")
def _there(workspace: Path, registry: Any) -> Workspace:
    registry.champion("flights", registry.add("flights", "first"))
    return Workspace(Settings().workspace)


def test_its_answers_are_logged_under_the_new_name(
    there: Workspace, registry: Any, serve: Any, good: dict[str, Any], until: Any
) -> None:
    ledger = Ledger.open(Settings().ledger)
    with ledger.turns.take("flights", Trigger(), Window(until=UNTIL)) as turn:
        ledger.turns.finish(turn, state="Promoted", verdict="promote", reasons=["good"], record={})
    champion = model_registry.champion(registry.client, "flights")
    record_artifacts(registry.client, ledger, there, champion, actor="a turn", reason="it was registered")
    service = serve("flights")
    asked = [ask(service, good)]
    until(lambda: ids_in_the_log("flights") == asked)

    change = Renaming(old="flights", new="departures", by="ann", reason="a better word")
    rename_model(change, ledger=ledger, workspace=there, client=registry.client)

    asked.append(ask(service, good))
    until(lambda: ids_in_the_log("departures") == sorted(asked))
    asked.append(ask(service, good, "departures"))
    until(lambda: ids_in_the_log("departures") == sorted(asked))
    assert not there.exists(there.file("flights"))
    until(lambda: service.client.get("/models/flights").json()["champion"]["files_checked_by"] == "workspace")
    assert service.client.get("/models/flights").json()["failed_version"] is None
    registry.champion("departures", registry.add("departures", "second"))
    until(lambda: service.client.get("/models/departures").json()["version"] == 2)


def test_rows_wait_while_the_files_move(there: Workspace, serve: Any, good: dict[str, Any], until: Any) -> None:
    service = serve("flights")
    note_renaming(there, "flights", "departures", moved=False)

    asked = ask(service, good)
    until(lambda: "is being renamed" in service.client.get("/models/flights").json()["drain_error"])
    assert not there.exists(there.file("flights"))

    note_renaming(there, "flights", "departures", moved=True)
    until(lambda: ids_in_the_log("departures") == [asked])


def test_a_service_of_the_new_name_takes_what_one_of_the_old_left(
    there: Workspace, registry: Any, serve: Any, good: dict[str, Any], until: Any
) -> None:
    service = serve("flights")
    note_renaming(there, "flights", "departures", moved=False)
    asked = ask(service, good)
    service.stop()
    note_renaming(there, "flights", "departures", moved=True)

    registry.champion("departures", registry.add("departures", "first"))
    serve("departures")

    until(lambda: ids_in_the_log("departures") == [asked])


def test_what_was_being_written_while_the_model_was_renamed_is_written_again(tmp_path: Path) -> None:
    spool = Spool.claim(tmp_path / "spool")
    spool.append(KINDS, batch(0, 3))
    drain = drain_of(spool, Table(str(tmp_path / "old")))
    looks = iter([drain.table, Table(str(tmp_path / "new"))])

    def follow() -> None:
        drain.table = next(looks, drain.table)

    drain._check_store = follow

    assert drain.drain() == 0
    assert "renamed" in drain.state.error
    assert drain.drain() == 3
    assert logged(drain.table) == ["id-0", "id-1", "id-2"]
