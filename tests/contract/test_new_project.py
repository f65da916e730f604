"""`everfit new` writes a repository whose own CI is green, without network."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from everfit.blocks.errors import DeploymentError
from everfit.deployments.cli.commands import app
from everfit.deployments.new.new import new_project
from everfit.deployments.server import lint
from everfit.deployments.server.project import project_name

PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def project(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new repository, which is the working folder."""
    new_project(workspace.parent / "shop-models")
    monkeypatch.chdir(workspace.parent / "shop-models")
    yield workspace.parent / "shop-models"
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop_models"]:
        del sys.modules[name]  # the next project of this name would find it taken


def test_the_steps_of_its_ci_succeed(project: Path) -> None:
    steps = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())["jobs"]["check"]["steps"]
    install, *checks = [step["run"] for step in steps if "run" in step]
    assert install == "pip install -c constraints.txt -e '.[dev]'"
    assert checks == ["everfit lint", "python -m pytest"]
    for check in checks:
        program, *arguments = shlex.split(check)
        done = subprocess.run(
            [PROGRAMS / program, *arguments], env=os.environ | {"PYTHONWARNINGS": "ignore"}, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b3 passed", done.stdout)


def test_its_names_are_the_projects_own(project: Path) -> None:
    from everfit.blocks.settings import Settings

    texts = {path: path.read_text() for path in project.rglob("*") if path.is_file() and ".everfit" not in path.parts}
    assert [path for path, text in texts.items() if re.search(r"team.models|EVERFIT_VERSION", text)] == []
    assert project_name(Settings()) == "shop-models"
    deployments = yaml.safe_load((project / "deployments/prefect.yaml").read_text())["deployments"]
    assert deployments[-1]["entrypoint"] == "shop_models/flows.py:nightly"
    done = subprocess.run([PROGRAMS / "ruff", "check", "--isolated", "."], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_lint_names_an_own_function_that_is_not_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project)
    assert lint.find_problems() == []
    path = project / "deployments/models/parcels.yaml"
    path.write_text(path.read_text().replace("metrics:profit", "metrics:proft"))
    (problem,) = lint.find_problems()
    assert "parcels.yaml: 'shop_models.metrics:proft' can't be imported" in problem
    assert "no attribute 'proft'" in problem


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shop Models", "use lower-case letters, digits and hyphens"),
        ("json", r"'json' already means something in Python; try 'json-models'"),
        ("class", "already means something in Python"),
        ("full", "exists and is not empty"),
        ("file", "exists and is not empty"),
        ("file/shop", "can't be written"),
    ],
)
def test_a_name_or_folder_that_will_not_do_is_refused_and_nothing_is_written(
    name: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(DeploymentError, match=reason):
        new_project(tmp_path / name)

    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_repository_is_filled(tmp_path: Path) -> None:
    (tmp_path / "shop" / ".git").mkdir(parents=True)

    done = CliRunner().invoke(app, ["new", str(tmp_path / "shop")])

    assert done.exit_code == 0
    listed = re.findall(r"^  (\S+)$", done.output, flags=re.MULTILINE)
    assert sorted(listed) == sorted(
        path.relative_to(tmp_path / "shop").as_posix() for path in (tmp_path / "shop").rglob("*") if path.is_file()
    )
