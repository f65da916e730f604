"""The wheel, built once from a copy of the sources, and installed into an empty folder."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.infra import load

ROOT = Path(__file__).parents[2]
FOLDERS = ("blocks", "tasks", "flows", "deployments", "infra")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the sources."""
    return ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network from a copy: what an earlier build left can't get into it."""
    sources = tmp_path_factory.mktemp("sources")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, sources / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, sources)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    built = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (sources / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(command, capture_output=True, check=True)
    return target


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """What compose is told to start."""
    return load("compose.yaml")


@pytest.fixture(scope="session")
def constraints() -> dict[str, str]:
    """The tested version of each package."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name.lower(): number for name, number in (line.split("==") for line in lines if "==" in line)}
