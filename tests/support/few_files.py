"""Tables of few files: forty rows a day are enough for the tests, and each file costs each reader time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from everfit.tasks.storage import periods
from everfit.tasks.storage.table_layout import TableLayout


@contextmanager
def by_month() -> Iterator[None]:
    """Create tables whose partitions are months, as those of long histories are; by themselves they would be days."""
    create: Any = TableLayout.create.__wrapped__  # type: ignore[attr-defined] - it turns panics into errors
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(periods, "_FEW_PARTITIONS", 8)
        patched.setattr(create, "__defaults__", ("month", *create.__defaults__[1:]))
        yield
