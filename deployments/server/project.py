"""The project whose things on a Prefect server are everfit's to change. Several projects may share a server."""

import subprocess
from pathlib import Path

from everfit.blocks.settings import Settings
from everfit.deployments.server import files

TAG = "project:"
"""Each deployment has a tag of this prefix and the project's name."""


def project_name(settings: Settings) -> str:
    """Return the name of this project.

    It is `EVERFIT_PROJECT`, the `name` in a `deployments/prefect.yaml` of the project's own, the name of the git
    repository, or else that of the working folder.
    """
    if settings.project:
        return settings.project
    if Path("deployments", "prefect.yaml").is_file():
        name = files.read_prefect_file().name
        if name not in {None, "everfit"}:
            return str(name)
    origin = _git("remote", "get-url", "origin") or _git("rev-parse", "--show-toplevel")
    return Path(origin or str(Path.cwd())).name.removesuffix(".git")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:  # there is no git here
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
