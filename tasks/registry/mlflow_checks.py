"""MLflow's checks of a model that it logs, without what takes long and tells nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any

_FILES = "_MODULES_TO_PACKAGES"
"""MLflow's memory of the files of all packages: None as long as it has not read them."""
_TRIED = "_validate_serving_input"
"""MLflow's function that loads a model which was just saved, and lets it predict its input example."""

_untried: ContextVar[bool] = ContextVar("everfit_example_untried", default=False)


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


@contextmanager
def example_untried() -> Iterator[None]:
    """Have MLflow not load the model that it has just saved, to try its input example and warn if that fails.

    A large model would be in memory twice. The digests of the files are recorded from a copy that the store gives, and
    the prediction service tries the example whenever it loads a version.
    """
    _make_optional()
    token = _untried.set(True)
    try:
        yield
    finally:
        _untried.reset(token)


@cache
def _make_optional() -> None:
    from mlflow.models import utils

    names = vars(utils)  # MLflow has no setting for it
    tried = names[_TRIED]

    @wraps(tried)
    def unless_untried(*args: Any, **kwargs: Any) -> Any:
        return None if _untried.get() else tried(*args, **kwargs)

    names[_TRIED] = unless_untried
