"""The steps from a name to the repository of a team."""

import keyword
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import everfit
from everfit.blocks.errors import DeploymentError

_SUFFIX, _DOT = ".template", "dot-"
_OWN_FLOW = """
  # A flow of the team's own, by file. `everfit bootstrap` applies it for each model, as the entries above.
  - <<: *deployment
    entrypoint: team_models/flows.py:nightly
    description: Predicts the new rows of a model, and hands the predictions over.
    concurrency_limit: *one_at_a_time
    schedules:
      - { slug: nightly, cron: "42 2 * * *", timezone: UTC, active: false }
"""
_PULL = """# Nothing is pulled: workers run in a clone of this repository. To have each run get the code by git, write
#   pull:
#     - prefect.deployments.steps.git_clone:
#         repository: https://git.example.com/team-models.git
#         branch: main
#         access_token: "{{ prefect.blocks.secret.git-token }}"
# Workers still need the packages of constraints.txt. Relative paths then start in the fresh clone, so give sources by
# absolute paths or addresses, and set EVERFIT_WORKSPACE and EVERFIT_LEDGER_URL on the worker.
"""


def new_project(folder: Path) -> list[str]:
    """Write the repository of a team: specs, own code, tests, CI and deployments.

    Args:
        folder: The folder, whose last part names the project. It may exist if it is empty or holds only `.git`.

    Returns:
        The files, relative to the folder.

    Raises:
        DeploymentError: The name can't be that of a project, or the folder holds something.
    """
    name = folder.resolve().name
    package = _package_of(name)
    if folder.exists() and (not folder.is_dir() or any(path.name != ".git" for path in folder.iterdir())):
        raise DeploymentError(f"{str(folder)!r} exists and is not empty; give a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as making:
            for path, text in _files(name, package):
                target = Path(making, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            folder.mkdir(exist_ok=True)
            written = sorted(path.relative_to(making).as_posix() for path in Path(making).rglob("*") if path.is_file())
            for entry in Path(making).iterdir():
                shutil.move(entry, folder / entry.name)
    except OSError as error:
        raise DeploymentError(f"{str(folder)!r} can't be written: {error.strerror or error}") from error
    return written


def _package_of(name: str) -> str:
    """Return the name of the project's Python package."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise DeploymentError(
            f"{name!r} can't name a project: use lower-case letters, digits and hyphens, and begin with a letter"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in {"tests", "deployments"} or find_spec(package) is not None:
        raise DeploymentError(
            f"{name!r} can't name a project, since {package!r} already means something in Python; try '{name}-models'"
        )
    return package


def _files(name: str, package: str) -> Iterator[tuple[str, str]]:
    """Yield the path and text of each file."""
    template = Path(__file__).with_name("template")
    for path in sorted(template.rglob(f"*{_SUFFIX}")):
        parts = path.relative_to(template).as_posix().removesuffix(_SUFFIX)
        yield _named(parts.replace(_DOT, "."), name, package), _named(path.read_text(encoding="utf-8"), name, package)
    deployments = Path(__file__).parents[1] / "prefect.yaml"
    yield "deployments/prefect.yaml", _deployments(deployments.read_text(encoding="utf-8"), name, package)
    constraints = Path(everfit.__file__).resolve().with_name("constraints.txt")
    yield "constraints.txt", constraints.read_text(encoding="utf-8")


def _deployments(everfits: str, name: str, package: str) -> str:
    """Return everfit's prefect.yaml as that of the project, with the team's own flow."""
    lines = everfits.splitlines()
    pull = lines.index("pull: []")
    while lines[pull - 1].startswith("#"):
        del lines[pull - 1]
        pull -= 1
    head = [
        f"# The deployments on a Prefect server: everfit's of {everfit.__version__}, and the team's own at the end.",
        "# `everfit bootstrap` applies this file once for each spec, with the model's name as `{{ $EVERFIT_MODEL }}`.",
        "# After an upgrade of everfit, compare this file with that of a project that `everfit new` writes.",
        f"name: {name}",
        "",
        *_named(_PULL, name, package).splitlines(),
    ]
    return "\n".join([*head, *lines[pull:]]) + "\n" + _named(_OWN_FLOW, name, package)


def _named(text: str, name: str, package: str) -> str:
    """Return a text of the template with the names of the project."""
    return (
        text.replace("team-models", name)
        .replace("team_models", package)
        .replace("EVERFIT_VERSION", everfit.__version__)
    )
