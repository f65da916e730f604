"""The workspace and the ledger that each released everfit left are migrated, whole and readable.

Each archive is what `everfit train` and `everfit score` of that version made of some deliveries, without model files.
"""

import zipfile
from pathlib import Path

import pytest

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Snapshot
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.commit import take_snapshot
from everfit.tasks.data.content_check import check_contents
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.chain_check import check_chain
from everfit.tasks.predictions.log_check import check_log
from everfit.tasks.storage.commit_check import check_commits
from everfit.tasks.storage.table_check import check_table
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.storage.workspace_format import FORMAT, stored_format
from everfit.tasks.turns.package import read_package
from everfit.tasks.turns.turn_record import TurnRecord

ARCHIVES = sorted(Path(__file__).parent.glob("everfit_*.zip"))


@pytest.fixture(params=ARCHIVES, ids=[path.stem for path in ARCHIVES])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Settings(workspace=str(tmp_path / ".everfit"))


def test_a_workspace_of_a_released_version_is_migrated_and_fits_together(settings: Settings) -> None:
    assert stored_format(Workspace(settings.workspace)) == 0
    workspace, ledger, spec = Workspace.of(settings), Ledger.open(settings), load_spec("deliveries.yaml")
    assert stored_format(workspace) == FORMAT

    state = check_chain(ledger.store, "deliveries")
    assert (state.links >= 3, state.problems) == (True, ())
    (turn,) = ledger.turns.of("deliveries")
    record = TurnRecord.recall(turn.record)
    current = ledger.releases.current("deliveries")
    assert current is not None
    assert (turn.state, current.version, record.version and record.version.version) == ("Promoted", 1, 1)

    for name in ("dataset", "predictions"):
        table = workspace.table("deliveries", name)  # type: ignore[arg-type]
        assert [*check_table(workspace, table), *check_commits(workspace, table, -1, ())] == []
    assert check_contents(workspace.table("deliveries", "dataset")) == []
    assert check_log(workspace.table("deliveries", "predictions"), {1}) == []
    snapshot = Snapshot.recall(turn.record["snapshot"])
    now = take_snapshot(spec, snapshot.window, workspace, snapshot.version)
    assert (now.rows, now.content_digest) == (snapshot.rows, snapshot.content_digest)
    assert read_package(workspace, "deliveries", turn.id).turn["id"] == turn.id
