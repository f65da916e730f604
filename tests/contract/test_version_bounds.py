"""The nightly job tests everfit against the oldest and the newest versions that pyproject.toml allows."""

from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from support.version_bounds import BOUNDED, bounds


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_each_library_has_a_bound_that_the_other_one_fits(which: str, root: Path) -> None:
    requirements = [Requirement(line) for line in bounds(root / "pyproject.toml", which)]

    assert sorted(requirement.name for requirement in requirements) == sorted(BOUNDED)
    allowed = {
        Requirement(line).name: Requirement(line).specifier for line in bounds(root / "pyproject.toml", "newest")
    }
    for requirement in requirements:
        operators = {part.operator for part in requirement.specifier}
        assert operators == ({"=="} if which == "oldest" else {">=", "<"}), requirement
        if which == "oldest":
            (exact,) = requirement.specifier
            assert allowed[requirement.name].contains(exact.version), requirement


def test_the_nightly_job_installs_both(root: Path) -> None:
    jobs = yaml.safe_load((root / ".github" / "workflows" / "nightly.yaml").read_text())["jobs"]

    assert jobs["bounds"]["strategy"]["matrix"]["versions"] == ["oldest", "newest"]
    commands = "\n".join(step.get("run", "") for step in jobs["bounds"]["steps"])
    assert "support.version_bounds ${{ matrix.versions }}" in commands
    assert "tests/contract" in commands
