"""Read a JSON API as a source."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import CursorPaging, HttpSource, LinkPaging, NumberPaging
from everfit.tasks.core.records import Window
from everfit.tasks.core.secrets import reveal
from everfit.tasks.sources.chunks import Chunk
from everfit.tasks.sources.http import check_address, stream_response

if TYPE_CHECKING:
    import httpx


def read_api(source: HttpSource, window: Window) -> Iterator[Chunk]:
    """Request the rows of a window, page by page.

    Raises:
        SourceError: If the API can't be reached, refuses, returns something other than rows, or exceeds a limit.
    """
    import httpx

    url: str | None = check_address(source.url, source.allowed_hosts)
    headers = {"accept": "application/json"}
    if source.token is not None:
        headers["authorization"] = f"Bearer {reveal(source.token, 'source.token')}"
    reader = _Reader(source, time.monotonic() + source.max_time.total_seconds())
    parameters = _parameters(source, window)
    if isinstance(source.paging, NumberPaging):
        parameters[source.paging.parameter] = str(source.paging.first)
    with httpx.Client(timeout=source.timeout.total_seconds(), headers=headers, follow_redirects=False) as client:
        while url is not None:
            content, link = reader.page(client, url, parameters)
            rows = _rows(content, source)
            if rows:
                yield Chunk(source.url, pd.DataFrame.from_records([_flat(row) for row in rows]))
            url, parameters = _next(source, url, parameters, content, link, rows)


class _Reader:
    """Reads pages within the limits of bytes and time."""

    def __init__(self, source: HttpSource, deadline: float) -> None:
        self.source, self.deadline, self.read = source, deadline, 0
        self.seen: set[tuple[str, str]] = set()

    def page(self, client: "httpx.Client", url: str, parameters: dict[str, str]) -> tuple[Any, str | None]:
        """Return one page, and the address of the next page if the `Link` header has it."""
        import httpx
        import orjson

        request = (url, repr(sorted(parameters.items())))
        if request in self.seen:
            raise SourceError(f"{url!r} returns the same page again; check source.paging")
        self.seen.add(request)
        with stream_response(
            client, url, retries=self.source.retries, deadline=self.deadline, parameters=parameters or None
        ) as response:
            body = bytearray()
            try:
                for part in response.iter_bytes():
                    body += part
                    self._check(len(part))
            except httpx.TransportError as error:
                raise SourceError(f"the response of {url!r} broke off: {error}; run the turn again") from error
            link = response.links.get("next", {}).get("url")
        try:
            return orjson.loads(body), link and str(httpx.URL(url).join(link))
        except orjson.JSONDecodeError as error:
            raise SourceError(f"{url!r} did not return JSON: {error}; check source.url") from error

    def _check(self, more: int) -> None:
        self.read += more
        if self.read > self.source.max_bytes:
            raise SourceError(
                f"{self.source.url!r} returned more than {self.source.max_bytes:,} bytes; raise source.max_bytes, or "
                f"request less with {{since}} and {{until}} in source.parameters"
            )
        if time.monotonic() > self.deadline:
            raise SourceError(f"{self.source.url!r} took longer than source.max_time; raise it, or request less")


def _parameters(source: HttpSource, window: Window) -> dict[str, str]:
    since = "" if window.since is None else window.since.isoformat()
    filled = {
        name: value.replace("{since}", since).replace("{until}", window.until.isoformat())
        for name, value in source.parameters.items()
    }
    return {name: value for name, value in filled.items() if value}


def _at(content: Any, path: str) -> Any:
    for part in path.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _rows(content: Any, source: HttpSource) -> list[dict[str, Any]]:
    rows = content if source.records is None else _at(content, source.records)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        keys = f"it has the keys {', '.join(map(repr, list(content)[:10]))}; " if isinstance(content, dict) else ""
        raise SourceError(
            f"{source.url!r} has no list of rows at {source.records or 'the top'!r}; {keys}check source.records"
        )
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    import orjson

    return {
        name: orjson.dumps(value).decode() if isinstance(value, dict | list) else value for name, value in row.items()
    }


def _next(  # noqa: PLR0917
    source: HttpSource, url: str, parameters: dict[str, str], content: Any, link: str | None, rows: list[Any]
) -> tuple[str | None, dict[str, str]]:
    """Return the address and parameters of the next page; None as the address after the last page."""
    match source.paging:
        case CursorPaging(parameter=parameter, path=path):
            cursor = _at(content, path)
            return (url, {**parameters, parameter: str(cursor)}) if cursor not in {None, ""} else (None, {})
        case NumberPaging(parameter=parameter):
            return (url, {**parameters, parameter: str(int(parameters[parameter]) + 1)}) if rows else (None, {})
        case LinkPaging():
            if link is None:
                return None, {}
            return _same_host(url, check_address(link, source.allowed_hosts)), {}
        case None:
            return None, {}


def _same_host(url: str, link: str) -> str:
    """Refuse a next page on another host, because it would receive the token."""
    import httpx

    if httpx.URL(link).netloc != httpx.URL(url).netloc:
        raise SourceError(f"{url!r} leads to another host, {link!r}; everfit doesn't send the token to it")
    return link
