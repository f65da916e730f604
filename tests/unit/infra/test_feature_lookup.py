"""Features that a request lacks: looked up by key as of the event, with the version of the row that was used."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from everfit.blocks.joins import Join
from everfit.infra.serving.feature_lookup import FeatureLookup, NotReadyError
from everfit.infra.serving.protocol import RequestTable
from everfit.tasks.models.input_column import InputColumn, InputError
from everfit.tasks.models.input_schema import InputSchema

INPUTS = InputSchema(
    task="binary",
    features=(
        InputColumn(name="x", kind="double"),
        InputColumn(name="limit", kind="double", nullable=True, meaning="whole"),
        InputColumn(name="tier", kind="string", nullable=True, meaning="text"),
    ),
    event_time="at",
)
NOW = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp() * 1e6)


@pytest.fixture
def lookup(tmp_path: Path) -> FeatureLookup:
    path = tmp_path / "customers.csv"
    pd.DataFrame(
        {
            "customer": ["c1", "c1", "c2"],
            "since": ["2024-01-01", "2024-02-01", "2024-02-01"],
            "limit": [100, 200, 300],
            "tier": ["silver", "gold", None],
        }
    ).to_csv(path, index=False)
    join = Join.model_validate(
        {
            "source": {"path": str(path)},
            "on": "customer",
            "as_of": "since",
            "within": "40d",
            "columns": ["limit", "tier"],
        }
    )
    return FeatureLookup("loans", [join], None)


def request(**columns: list[object]) -> RequestTable:
    return RequestTable(columns, len(next(iter(columns.values()))))


def test_a_request_gets_the_last_row_known_at_its_event_and_says_which(lookup: FeatureLookup):
    lookup.refresh(lookup.joins[0])

    filled, versions = lookup.fill(
        request(
            customer=["c1", "c1", "c2", "c9", None],
            at=["2024-01-31T23:59:59Z", None, None, None, None],  # the others are of now
        ),
        INPUTS,
        NOW,
    )

    assert filled.columns["limit"] == [100.0, 200.0, 300.0, None, None]
    assert filled.columns["tier"] == ["silver", "gold", None, None, None]
    assert [version.split(" #")[0] for version in versions] == [
        "customer: 2024-01-01T00:00:00.000000Z",
        "customer: 2024-02-01T00:00:00.000000Z",
        "customer: 2024-02-01T00:00:00.000000Z",
        "customer: none",
        "customer: none",
    ]


def test_a_row_that_is_too_old_is_not_used(lookup: FeatureLookup):
    lookup.refresh(lookup.joins[0])

    filled, _ = lookup.fill(request(customer=["c1"], at=["2024-03-13T00:00:00Z"]), INPUTS, NOW)

    assert filled.columns["limit"] == [None]


def test_what_a_request_gives_is_not_looked_up(lookup: FeatureLookup):
    table = request(limit=[7], tier=["gold"])  # before anything is read, and without the key

    assert lookup.fill(table, INPUTS, NOW) == (table, ["customer: given"])


def test_before_the_rows_are_read_and_without_a_key_the_request_is_refused(lookup: FeatureLookup):
    with pytest.raises(NotReadyError, match="'customer' are not read yet; send limit, tier with the request"):
        lookup.fill(request(customer=["c1"]), INPUTS, NOW)
    lookup.refresh(lookup.joins[0])
    with pytest.raises(InputError, match="'customer': expected the key by which 'limit', 'tier' are looked up"):
        lookup.fill(request(x=[1.0]), INPUTS, NOW)


def test_a_source_that_is_gone_leaves_the_last_rows_in_use_and_is_reported(lookup: FeatureLookup):
    lookup.refresh(lookup.joins[0])
    Path(lookup.joins[0].source.path).unlink()  # type: ignore[union-attr]
    lookup.refresh(lookup.joins[0])

    assert lookup.fill(request(customer=["c1"]), INPUTS, NOW)[0].columns["limit"] == [200.0]
    assert "matches no file" in lookup.status()["customer"]["error"]
