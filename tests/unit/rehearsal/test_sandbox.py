"""A policy is lived through in a place of its own, from which nothing real can be reached."""

from pathlib import Path

import pytest
import yaml
from support.deliveries import SPEC

from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal import sandbox
from everfit.tasks.storage.deleted_keys import DeletedKey, read_deleted_keys, remember_key
from everfit.tasks.storage.workspace import Workspace

REAL = {
    "EVERFIT_WORKSPACE": "s3://real/everfit",
    "EVERFIT_LEDGER_URL": "postgresql://real/ledger",
    "EVERFIT_SIGNING_KEY": "/real/key.pem",
    "EVERFIT_PROJECT": "real",
    "EVERFIT_TASK_RUNNER": "dask",
    "PREFECT_API_URL": "http://real:4200/api",
    "PREFECT_API_KEY": "real",
    "PREFECT_PROFILE": "real",
    "MLFLOW_TRACKING_URI": "http://real:5000",
    "MLFLOW_REGISTRY_URI": "http://real:5000",
}


def test_no_address_of_the_real_installation_is_left(tmp_path: Path) -> None:
    kept = {"PATH": "/bin", "AWS_REGION": "eu", "EVERFIT_TRUSTED_TYPES": "a.B", "DB_PASSWORD": "x"}
    found = sandbox.environment(tmp_path / "life", {**REAL, **kept})
    assert {name: found[name] for name in kept} == kept
    assert [name for name, value in found.items() if "real" in value.replace(str(tmp_path), "")] == []
    assert set(REAL) & set(found) == {"EVERFIT_WORKSPACE", "MLFLOW_TRACKING_URI"}
    for name in ("EVERFIT_WORKSPACE", "MLFLOW_TRACKING_URI", "PREFECT_HOME", "PREFECT_API_DATABASE_CONNECTION_URL"):
        assert str(tmp_path / "life") in found[name]


def test_secrets_of_a_source_go_to_the_process_and_into_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SALES_DB", "sqlite:////secret/place.db")
    content = {**SPEC, "source": {"kind": "sql", "url": "env:SALES_DB", "table": "deliveries"}}
    folder = tmp_path / "life"
    spec = ModelSpec.model_validate(content)
    sandbox.prepare_folder(folder, spec, Workspace(str(tmp_path / "real")))
    variables = sandbox.secret_variables(spec)
    written = yaml.safe_load((folder / "spec.yaml").read_text())
    (name,) = variables
    assert variables[name] == "sqlite:////secret/place.db"
    assert written["source"]["url"] == f"env:{name}"
    assert "secret" not in (folder / "spec.yaml").read_text()


def test_keys_that_were_deleted_stay_out(tmp_path: Path) -> None:
    real = Workspace(str(tmp_path / "real"))
    gone = DeletedKey(request="r1", columns=("id",), values=(3,), keys=(7,))
    remember_key(real, "deliveries", gone)
    sandbox.prepare_folder(tmp_path / "life", ModelSpec.model_validate(SPEC), real)
    ours = Workspace(str(tmp_path / "life" / "workspace"))
    assert read_deleted_keys(ours, "deliveries").requests == (gone,)


def test_policies_have_folders_of_their_own(tmp_path: Path) -> None:
    assert sandbox.folder_of(tmp_path, "All / rows! 1a2b") == tmp_path / "lives" / "all-rows-1a2b"
