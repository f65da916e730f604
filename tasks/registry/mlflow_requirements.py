"""MLflow's check of a model's requirements, without a look at every installed file."""

from collections.abc import Iterator
from contextlib import contextmanager

_FILES = "_MODULES_TO_PACKAGES"
"""MLflow's memory of the files of all packages: None as long as it has not read them."""


@contextmanager
def checked_by_name() -> Iterator[None]:
    """Have MLflow look up the versions of requirements by their names alone.

    Before it compares a model's requirements with what is installed, MLflow reads the list of files of every installed
    package, which takes a second in each process. It needs them for requirements that name a module and no package.
    Those of `MODEL_REQUIREMENTS` name packages.
    """
    from mlflow.utils import requirements_utils

    names = vars(requirements_utils)  # MLflow has no setting for it
    before = names.get(_FILES)
    if before is None:
        names[_FILES] = {}
    try:
        yield
    finally:
        names[_FILES] = before or None  # another thread may have been here as well
