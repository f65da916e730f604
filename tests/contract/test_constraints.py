"""constraints.txt is a full set of versions that fit pyproject.toml, and tells nothing of where it was made."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from everfit.deployments.cli.commands import app


@pytest.fixture(scope="module")
def constraints(root: Path) -> dict[str, str]:
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


LARGE = {"dask-boosters"}
"""Extras that `make install` leaves out."""


def requirements(root: Path, left_out: set[str] | None = None) -> list[Requirement]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    chosen = [names for extra, names in project["optional-dependencies"].items() if extra not in (left_out or set())]
    extras = [name for names in chosen for name in names]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


def test_each_line_is_a_name_and_a_version(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines[1:] if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    assert "everfit" not in [line.split("==")[0] for line in lines]


def test_the_package_carries_the_list(root: Path) -> None:
    printed = CliRunner().invoke(app, ["constraints"])
    assert printed.exit_code == 0
    assert printed.output == (root / "constraints.txt").read_text()


def test_every_requirement_has_a_version_that_fits_it(root: Path, constraints: dict[str, str]) -> None:
    tested = {canonicalize_name(name): number for name, number in constraints.items()}
    for requirement in requirements(root):
        number = tested.get(canonicalize_name(requirement.name))
        assert number is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(number), f"{requirement} against {number} in constraints.txt"


def test_what_is_installed_is_what_was_tested(root: Path, constraints: dict[str, str]) -> None:
    names = {canonicalize_name(requirement.name) for requirement in requirements(root, LARGE)}
    tested = {name: number for name, number in constraints.items() if canonicalize_name(name) in names}
    assert {name: version(name) for name in tested} == tested
