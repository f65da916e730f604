"""The head of a response goes out with its body, and never later than the body would."""

import asyncio
from typing import Any
from unittest import mock

from everfit.infra.serving.whole_responses import WholeResponses

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


def sent(*calls: tuple[Any, ...]) -> tuple[list[bytes], list[bytes]]:
    """Return what a transport was given at once, and what by the next round of the loop."""
    given: list[bytes] = []
    inner = mock.Mock(**{"write.side_effect": given.append, "close.side_effect": lambda: given.append(b"closed")})

    async def write() -> list[bytes]:
        outer = WholeResponses(inner, asyncio.get_running_loop())
        for name, *arguments in calls:
            getattr(outer, name)(*arguments)
        at_once = [*given]
        await asyncio.sleep(0)
        return at_once

    return asyncio.run(write()), given


def test_a_head_and_its_body_are_one_write() -> None:
    assert sent(("write", HEAD), ("write", b"[]"))[0] == [HEAD + b"[]"]


def test_a_head_without_a_body_goes_out_in_the_next_round() -> None:
    at_once, later = sent(("write", HEAD))
    assert (at_once, later) == ([], [HEAD])


def test_a_response_is_sent_before_its_connection_closes() -> None:
    assert sent(("write", HEAD), ("close",))[0] == [HEAD, b"closed"]


def test_what_is_no_head_of_a_response_does_not_wait() -> None:
    interim, chunk = b"HTTP/1.1 100 Continue\r\n\r\n", b"0\r\n\r\n"
    assert sent(("write", interim), ("write", chunk), ("write", HEAD), ("write", HEAD))[0] == [
        interim,
        chunk,
        HEAD + HEAD,
    ]
