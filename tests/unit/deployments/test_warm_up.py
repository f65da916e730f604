"""What commands do while Prefect's temporary server is starting."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.deliveries import SPEC

from everfit.blocks.errors import EverfitError, SpecError
from everfit.deployments.cli import environment
from everfit.deployments.cli.runs import warm_up
from everfit.tasks.core.spec_loading import load_spec


def test_a_named_spec_is_not_asked_of_a_server_that_is_only_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "deployments" / "models" / "deliveries.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(SPEC | {"monitoring": {"report": "never"}}))

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with pytest.raises(SpecError, match="can't say whether"):
            load_spec("deliveries")
        warm_up("deliveries")


@pytest.mark.long
def test_scoring_and_labeling_import_no_library_of_training_while_the_server_starts() -> None:
    modules = [*environment.SCORING, *environment.LABELING, "everfit.flows.scoring_flow", "everfit.flows.labeling_flow"]
    code = f"import importlib, sys\nfor name in {modules}:\n    importlib.import_module(name)\nprint(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert {"great_expectations", "shap", "evidently", "matplotlib"} & set(imported) == set()
    assert {"great_expectations.expectations", "sklearn.ensemble"} <= set(environment.TRAINING)


def test_a_temporary_server_writes_nothing_to_the_terminal_and_its_last_line_says_why_it_did_not_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.setattr(environment, "has_server", lambda: False)
    monkeypatch.setattr("prefect.context.refresh_global_settings_context", lambda: None)
    monkeypatch.setattr(environment, "UVICORN", "import sys; sys.exit('the disk is full')")

    with pytest.raises(
        EverfitError, match=r"did not start within .* \(exit code 1, the disk is full\); give it longer"
    ):
        environment.start_temporary_server(())()

    assert capfd.readouterr().err == ""
