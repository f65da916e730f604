"""The largest client's share is a figure of each look, and a sudden rise is reported."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.logs import EVENT_TIME, answered, log_answers

from everfit.blocks.clients import ClientsPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.live_predictions import LivePredictions, read_live_predictions
from everfit.tasks.monitoring.signals.client_shares import with_clients
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.triage.signals import ServiceHealthSignal

WINDOW = Window(since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2024, 3, 8, tzinfo=UTC))


def live_of(folder: Path, most: float = 1, **rows: int) -> LivePredictions:
    for day, (client, count) in enumerate(rows.items(), start=1):
        table = log_answers(folder, answered(f"2024-03-0{day}", count, days=1), client=client)
    profile = profile_frame(answered("2024-02-01", 300), ["distance"], predictions=[])
    return read_live_predictions(table, WINDOW, EVENT_TIME, profile, 1, sample_rows=100, max_client_share=most)


def signal_of(live: LivePredictions, previous: dict[str, float], most: float = 1) -> ServiceHealthSignal:
    policy = ClientsPolicy(max_share=most)
    return with_clients(ServiceHealthSignal(status="measured"), live, {"shop": 1, "source": 3}, previous, policy)


def test_a_single_client_is_no_figure(tmp_path: Path) -> None:
    signal = with_clients(
        ServiceHealthSignal(status="measured"), live_of(tmp_path, shop=50), {"shop": 9}, {}, ClientsPolicy()
    )

    assert (signal.figures, signal.clients, signal.alarms) == ({}, (), ())


@pytest.mark.parametrize(
    ("before", "reported"), [({}, False), ({"client_share": 0.4}, True), ({"client_share": 0.7}, False)]
)
def test_a_large_client_is_reported_when_it_is_new(tmp_path: Path, before: dict[str, float], reported: bool) -> None:
    signal = signal_of(live_of(tmp_path, bad=80, shop=20), before)

    sentence = "the client 'bad' asked for 80% of the predictions"
    assert signal.figures == {"client_share": 0.8, "labeller_share": 0.25}
    assert "the client 'shop' sent 25% of the mature labels" in signal.details
    assert sentence in signal.details
    assert signal.concerns == ((f"{sentence}; the largest client of the window before had 40%",) if reported else ())


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    signal = signal_of(live_of(tmp_path, 0.5, bad=180, shop=20), {}, 0.5)

    assert f"{signal.figures['left_out_rows']:.0f} predictions of clients above the share of 50%" in signal.details
    assert signal.figures["left_out_rows"] > 100

    few, given = live_of(tmp_path / "few", shop=5), {"bad": 90, "shop": 10}
    signal = with_clients(signal, few, given, {}, ClientsPolicy(max_share=0.5), labels_left_out=80)
    assert "the client 'bad' sent 90% of the mature labels" in signal.details
    assert "80 mature labels of clients above the share" in signal.details
