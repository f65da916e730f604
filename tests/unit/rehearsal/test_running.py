"""What an earlier run of a rehearsal has done is used again only while nothing has changed that it depends on."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.deliveries import SPEC
from support.stack import wait_for

from everfit.blocks.errors import EverfitError
from everfit.blocks.spec import ModelSpec
from everfit.deployments.rehearsal.life_process import WindowsLived
from everfit.tasks.rehearsal import living, sandbox
from everfit.tasks.rehearsal.living import LifeJob, Pulse, live
from everfit.tasks.rehearsal.running import progress_line, spec_identity
from everfit.tasks.storage.workspace import Workspace


def test_results_depend_on_the_spec_and_on_the_users_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "own_rehearsed_metric.py"
    module.write_text("def profit(y, scores):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = ModelSpec.model_validate(SPEC | {"training": {"metric": "own_rehearsed_metric:profit"}})
    then = spec_identity(spec)
    assert spec_identity(spec) == then
    assert spec_identity(ModelSpec.model_validate(SPEC)) != then

    module.write_text("def profit(y, scores):\n    return 2.0\n")
    assert spec_identity(spec) != then


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "silent"])
def test_a_life_on_a_worker_ends_with_its_rehearsal(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the command was killed, and a second life of the folder waits until the first one is gone."""
    spec, pulse = ModelSpec.model_validate(SPEC), Pulse(tmp_path / "pulse")
    job = LifeJob("the spec as it is", tmp_path / "life", spec, pulse, tmp_path)
    sandbox.prepare_folder(job.folder, spec, Workspace(str(tmp_path / "real")))
    pulse.beat()
    with (job.folder / "lock").open("w") as earlier, ThreadPoolExecutor(1) as worker:
        fcntl.flock(earlier, fcntl.LOCK_EX)
        if how == "silent":
            monkeypatch.setattr(living, "_PATIENCE", 3.0)
        life = worker.submit(live, job)
        if how == "stopped":
            wait_for((job.folder / sandbox.LOG).exists)
            pulse.stop()
        with pytest.raises(EverfitError, match="was stopped; run the command again to go on"):
            life.result(timeout=60)
        fcntl.flock(earlier, fcntl.LOCK_UN)
        with (job.folder / "lock").open("w") as free:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no process is left that waits for it


def test_the_rest_is_reckoned_from_windows_while_some_are_left() -> None:
    """Given that the fits of the matrix alone are left, then no estimate says that nothing is."""
    assert progress_line({"a": 2, "b": 4}, 10, 0, 60.0, 4).endswith("; about 7 min left")
    assert progress_line({"a": 0, "b": 4}, 10, 0, 60.0, 4).endswith("; 0 models of the matrix fitted")
    assert progress_line({"a": 10, "b": 10}, 10, 3, 60.0, 4).endswith("; 3 models of the matrix fitted")


def test_what_fails_in_a_life_is_noted_and_is_not_taken_for_done(tmp_path: Path) -> None:
    life = WindowsLived(tmp_path)
    assert life.guard(lambda: None)
    assert life.notes == []
    assert not life.guard(lambda: int("many"))
    assert life.notes == ["invalid literal for int() with base 10: 'many'"]
