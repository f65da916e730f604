"""The code that runs: its version, and the versions of the packages that a turn's result depends on."""

import importlib.metadata
import os
import subprocess
from functools import cache
from pathlib import Path

# The packages that loading a model needs. MLflow would find them by loading the model again, which takes about 6 s.
MODEL_REQUIREMENTS = ("scikit-learn", "skops", "numpy", "pandas", "scipy")
_RECORDED_PACKAGES = (
    *MODEL_REQUIREMENTS,
    "everfit",
    "mlflow",
    "prefect",
    "great-expectations",
    "evidently",
    "deltalake",
    "pyarrow",
)


@cache
def code_version() -> str:
    """Return the git commit of the code (with `+changed` if files were edited), or the installed version.

    Images contain no git repository; their build sets `EVERFIT_COMMIT`.
    """
    here = Path(__file__).parent
    installed = os.environ.get("EVERFIT_COMMIT") or importlib.metadata.version("everfit")
    # A wheel may be installed inside a repository of the user; that commit says nothing about everfit.
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return installed
    return commit_of(here) or installed


def commit_of(folder: Path) -> str | None:
    """Return the git commit of a folder, with `+changed` if files of its repository were edited; None without git.

    Args:
        folder: The folder.
    """
    commit, changed = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else f"{commit}+changed" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        completed = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return completed.stdout.strip()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a turn's result may depend on."""
    return {name: _version_of(name) for name in _RECORDED_PACKAGES}


@cache
def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
