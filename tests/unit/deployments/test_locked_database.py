"""A request that meets a lock of Prefect's database is sent again soon; a server that stays busy gets longer waits."""

import httpx
import pytest
from prefect.client import base

from everfit.deployments.server.locked_database import client_settings


@pytest.mark.parametrize(("busy", "longest"), [(2, 0.7), (4, 30.0)])
def test_a_lock_costs_little_and_a_busy_server_is_spared(
    monkeypatch: pytest.MonkeyPatch, busy: int, longest: float
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(base.time, "sleep", waits.append)
    answers = iter([*[503] * busy, 200, 503, 200])
    transport = httpx.MockTransport(lambda _: httpx.Response(next(answers)))
    with base.PrefectHttpxSyncClient(
        base_url="http://server/api", transport=transport, enable_csrf_support=False, **client_settings()
    ) as client:
        assert client.get("/health").status_code == 200
        assert len(waits) == busy
        assert max(waits[:2]) < 0.7
        assert max(waits) <= longest
        assert (max(waits) > 2) == (busy > 2)
        waits.clear()
        assert client.get("/health").status_code == 200
        assert max(waits) < 0.3
