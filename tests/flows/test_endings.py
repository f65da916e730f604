"""What a flow found reaches whoever ran it, also where the answer to its last change of state is lost."""

from typing import Any

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.exceptions import MissingResult
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, PREFECT_CLIENT_RETRY_JITTER_FACTOR, temporary_settings
from prefect.states import Completed, Failed

from everfit.deployments.cli.runs import result_of
from everfit.tasks.core.final_states import ended

pytestmark = pytest.mark.usefixtures("prefect_server")

FINAL = (b'"type":"COMPLETED"', b'"type":"FAILED"')


@flow
def finds(number: int) -> State[dict[str, Any]]:
    return ended((Completed if number > 0 else Failed)(name="Found", data={"number": number}))


@flow
def forgets(number: int) -> State[dict[str, Any]]:
    return Completed(name="Found", data={"number": number})


@pytest.fixture
def _last_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server takes a run's final state, and its answer never comes."""
    send, lost = httpx.Client.send, []

    def sends(client: httpx.Client, request: httpx.Request, *arguments: Any, **options: Any) -> httpx.Response:
        answer = send(client, request, *arguments, **options)
        final = request.url.path.endswith("/set_state") and any(kind in request.content for kind in FINAL)
        if final and not lost:
            lost.append(request.url.path)
            raise httpx.ReadTimeout("the server is busy", request=request)
        return answer

    monkeypatch.setattr(httpx.Client, "send", sends)
    quick = {PREFECT_CLIENT_MAX_RETRIES: 2, PREFECT_CLIENT_RETRY_JITTER_FACTOR: 0}
    with temporary_settings(quick):
        yield
    assert lost, "no final state was sent"


@pytest.mark.usefixtures("_last_answer_is_lost")
@pytest.mark.parametrize("number", [7, -7])
def test_what_was_found_is_there(number: int) -> None:
    state = finds(number, return_state=True)

    assert state.data is None
    assert state.name == "Found"
    assert result_of(state) == {"number": number}


@pytest.mark.usefixtures("_last_answer_is_lost")
def test_prefect_alone_loses_it() -> None:
    with pytest.raises(MissingResult):
        result_of(forgets(7, return_state=True))
