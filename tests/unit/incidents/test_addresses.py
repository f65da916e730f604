"""Addresses of the services that teams use: Apprise reads them, and posts a message with its first line and text.

The services' hosts are replaced by a receiver on this machine, so the requests are those that the services would get.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.receivers import AnyPost, serving

from everfit.blocks import NotificationAddress

SUBJECT, BODY = "everfit: flights: critical: quality fell", "What: quality fell\nTo do: look at the window."
ADDRESSES = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ml",
    "teams": "workflows://prod-1.westeurope.logic.azure.com:443/643e69ffc78d4d1bb7b28f5ad1b4f6f5/iXKmZ5P9l5Yq",
    "pagerduty": "pagerduty://aaaaaaaaaaaaaaaaaaaa@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/flights/triage",
    "json": "json://127.0.0.1:{port}/hook",
    "form": "form://127.0.0.1:{port}/hook",
}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyPost]:
    """A receiver that gets what is posted to any host."""
    request, receiver = requests.Session.request, AnyPost()

    def redirected(session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        return request(session, method, receiver.url, **options)

    monkeypatch.setattr(requests.Session, "request", redirected)
    with serving(receiver):
        yield receiver


@pytest.mark.parametrize("service", ADDRESSES)
def test_a_message_reaches_the_service_with_its_first_line_and_text(service: str, hook: AnyPost) -> None:
    address = NotificationAddress(url=ADDRESSES[service].format(port=hook.server_port))

    address.notify(BODY, subject=SUBJECT)

    (posted,) = hook.received
    for part in (SUBJECT, "What: quality fell", "To do: look at the window."):
        assert part in posted


@pytest.mark.parametrize("url", ["slakc://T1/A1/x", "no address", "msteams://team/a/b/c"])
def test_an_address_that_apprise_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Apprise knows no such address"):
        NotificationAddress(url=url)
