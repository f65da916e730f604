"""The oldest and the newest versions that `pyproject.toml` allows of what everfit stands on, for the nightly job.

`python -m support.version_bounds oldest` prints requirements for pip, one a line.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

BOUNDED = ("prefect", "mlflow", "great-expectations", "evidently", "deltalake", "scikit-learn")
"""The libraries whose behaviour everfit relies on most, and that change most."""


def bounds(project: Path, which: str) -> Iterator[str]:
    """Return a requirement for each of the libraries.

    Args:
        project: The file `pyproject.toml`.
        which: `oldest` for the lowest allowed version, `newest` for the highest that the index has.
    """
    if which not in {"oldest", "newest"}:
        raise ValueError(f"{which!r} is neither 'oldest' nor 'newest'")
    for line in tomllib.loads(project.read_text())["project"]["dependencies"]:
        requirement = Requirement(line)
        if requirement.name not in BOUNDED:
            continue
        lowest = [spec.version for spec in requirement.specifier if spec.operator == ">="]
        yield f"{requirement.name}=={lowest[0]}" if which == "oldest" else str(requirement)


if __name__ == "__main__":
    print("\n".join(bounds(Path(__file__).parents[2] / "pyproject.toml", sys.argv[1])))
