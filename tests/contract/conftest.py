"""The wheel, built from a copy of the sources, and installed into an empty folder; other tests that read files."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from support.infra import load
from support.prepared import digest_of, prepared

ROOT = Path(__file__).parents[2]
FOLDERS = ("blocks", "tasks", "flows", "deployments", "infra")
FILES = ("pyproject.toml", "LICENSE", "README.md")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the sources."""
    return ROOT


@pytest.fixture(scope="session")
def installed() -> Path:
    """A folder that holds what the wheel installs, and nothing else; the wheel lies beside it."""

    def make(folder: Path) -> None:
        with TemporaryDirectory() as copy:
            wheel = _build(Path(copy), folder)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
        subprocess.run([*command, folder / "installed", wheel], capture_output=True, check=True)

    return prepared("wheel", make, digest_of(*(ROOT / name for name in (*FOLDERS, *FILES)))) / "installed"


@pytest.fixture(scope="session")
def wheel(installed: Path) -> Path:
    """The wheel."""
    (path,) = installed.parent.glob("*.whl")
    return path


def _build(sources: Path, into: Path) -> Path:
    """Build without network from a copy: what an earlier build left can't get into the wheel."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, sources / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, sources)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", into, "."]
    built = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = into.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """What compose is told to start."""
    return load("compose.yaml")


@pytest.fixture(scope="session")
def constraints() -> dict[str, str]:
    """The tested version of each package."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name.lower(): number for name, number in (line.split("==") for line in lines if "==" in line)}
