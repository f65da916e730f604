"""What could not be worked out says so: too little is one thing, broken another, and neither is ever good news."""

import pytest

from everfit.blocks.errors import DataError, ModelError, NotEnoughError
from everfit.tasks.monitoring.evidence import attempt
from everfit.tasks.triage.signals import DataSignal


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotEnoughError("12 rows"), "not_enough"),
        (DataError("column 'fare' holds text"), "failed"),
        (ModelError("NaN"), "failed"),
        (KeyError("fare"), "failed"),
        (MemoryError(), "failed"),
    ],
)
def test_only_what_more_rows_would_mend_is_not_enough(error: Exception, status: str) -> None:
    def broken() -> DataSignal:
        raise error

    result = attempt(broken, DataSignal)

    assert result.status == status
    assert result.reason
    assert not result.measured


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_whoever_stops_the_run_stops_it(error: type[BaseException]) -> None:
    def stopped() -> DataSignal:
        raise error

    with pytest.raises(error):
        attempt(stopped, DataSignal)
