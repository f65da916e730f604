"""What a service tells of itself becomes figures, and what is out of bounds is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.errors import SourceError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.infra.serving.telemetry import Telemetry
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.live_predictions import LivePredictions
from everfit.tasks.monitoring.signals.service_health import (
    ServiceState,
    read_services,
    service_health_signal,
    service_state,
    services_are_well,
)
from everfit.tasks.statistics.histograms import Histograms, histograms
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.statistics.quantile_sketch import QuantileSketch
from everfit.tasks.triage.signals import ServiceHealthSignal

UNTIL = datetime(2024, 3, 8, tzinfo=UTC)
POLICY = MonitoringPolicy.model_validate({"service_health": {"max_p99_ms": 50}})


def metrics(well: int, ill: int, model: str = "deliveries") -> str:
    """What the prediction service's own code says after so many requests."""
    telemetry = Telemetry({})
    for number in range(well + ill):
        telemetry.answered(model, 200 if number < well else 500, 0.01)
    telemetry.answered("another", 500, 0.01)
    return telemetry.text().decode()


def counted() -> Histograms:
    frame = pd.DataFrame({"x": np.arange(100.0)})
    return histograms(frame, profile_frame(frame, ["x"]))


def signal(
    *states: ServiceState,
    before: dict[str, float] | None = None,
    latencies: tuple[float, ...] = (),
    outliers: tuple[float, ...] = (),
) -> ServiceHealthSignal:
    window = Window(since=UNTIL - timedelta(days=7), until=UNTIL)
    flagged = sum(outlier > 0.999 for outlier in outliers)
    times = QuantileSketch(np.array(latencies))
    live = LivePredictions(window, counted(), UNTIL, pd.DataFrame(), {3: 100}, times, (len(outliers), flagged))
    return service_health_signal(live, states, before or {}, POLICY)


@contextmanager
def service(text: str, *, date: datetime = UNTIL, token: str = "") -> Iterator[str]:
    """Answers `/metrics` as of a moment."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            refused = token and self.headers.get("authorization") != f"Bearer {token}"
            self.send_response(401 if refused or self.path != "/metrics" else 200)
            self.end_headers()
            self.wfile.write(text.encode())

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(date, usegmt=True)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_errors_are_counted_since_the_window_before() -> None:
    state = service_state("a:80", "deliveries", metrics(95, 5))
    assert (state.requests, state.errors) == (100, 5)

    first = signal(state)
    assert first.figures["error_rate"] == pytest.approx(0.05)
    assert first.alarms == ("5.0% of 100 requests ended in an error of the service, above the limit of 1.0%",)

    later = signal(service_state("a:80", "deliveries", metrics(195, 5)), before=first.figures)
    assert later.figures["error_rate"] == 0
    assert later.alarms == ()


def test_a_service_that_started_anew_counts_from_its_start() -> None:
    before = {"requests a:80": 10_000.0, "errors a:80": 3.0}
    assert signal(service_state("a:80", "deliveries", metrics(90, 10)), before=before).figures["error_rate"] == 0.1


def test_what_is_out_of_bounds_is_told() -> None:
    result = signal(
        ServiceState(name="a:80", spool_age_s=1_000),
        ServiceState(name="b:80", problem="answers 503"),
        latencies=(1.0,) * 50 + (90.0,) * 50,
        outliers=(0.1,) * 90 + (0.9999,) * 10,
    )
    assert len(result.alarms) == 4
    assert all(
        any(word in alarm for alarm in result.alarms) for word in ("90 ms", "10.0%", "b:80 answers 503", "1,000 s")
    )
    assert result.figures["version_3"] == 100


def test_a_quiet_service_gives_no_alarm() -> None:
    result = signal(ServiceState(name="a:80"), latencies=(1.0,) * 99 + (500.0,), outliers=(0.2,) * 100)
    assert result.alarms == ()
    assert result.predictions == 100


def test_a_service_is_asked_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = MonitoringPolicy.model_validate({"service_health": {"token": "env:SERVICE_TOKEN"}})
    with service(metrics(1, 0), token="t0ken") as url:
        with pytest.raises(SourceError, match="SERVICE_TOKEN"):
            read_services([url], "deliveries", policy, UNTIL)
        monkeypatch.setenv("SERVICE_TOKEN", "t0ken")
        [state] = read_services([url], "deliveries", policy, UNTIL)
        [refused] = read_services([url], "deliveries", POLICY, UNTIL)

    assert (state.problem, state.requests) == ("", 1)
    assert refused.problem == "answers 401"


def test_a_service_that_is_away_is_told_and_never_taken_for_well() -> None:
    with service("") as url:
        pass
    [state] = read_services([url], "deliveries", POLICY, UNTIL)
    assert state.problem.startswith("returns no metrics (ConnectError")
    assert signal(state).alarms


def test_history_that_is_replayed_asks_no_service_of_today() -> None:
    with service(metrics(0, 9), date=UNTIL + timedelta(days=400)) as url:
        assert read_services([url], "deliveries", POLICY, UNTIL) == ()
    assert read_services([], "deliveries", POLICY, UNTIL) == ()


class Monitored:
    """As much of a monitored model as its services need."""

    def __init__(self, address: str, figures: dict[str, float]) -> None:
        release = SimpleNamespace(services=(address,))
        self.context = SimpleNamespace(spec=SimpleNamespace(name="deliveries", release=release, monitoring=POLICY))
        self.judged = [SimpleNamespace(signals=SimpleNamespace(service_health=ServiceHealthSignal(figures=figures)))]
        self.until = UNTIL


def test_a_look_may_end_at_once_only_if_the_services_are_well_since_the_last_one() -> None:
    with service(metrics(well=90, ill=10)) as address:
        name = address.removeprefix("http://")
        monitored: Any = Monitored(address, {f"requests {name}": 100, f"errors {name}": 10})
        assert services_are_well(monitored)
        assert not services_are_well(cast("Any", Monitored(address, {f"requests {name}": 90})))
    assert not services_are_well(monitored)  # nobody answers
