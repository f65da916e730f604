"""What batch scoring has been through: spans of event time of which each row that had come is in the log.

A span is kept once a run has come to its end, so that one that was killed on the way counts for nothing. Where a span
is lost, rows are looked at again; those that the log has are not predicted twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from everfit.tasks.core.records import Window
from everfit.tasks.storage.workspace import Workspace

_LEAST = timedelta(microseconds=1)
_DAWN = datetime.min.replace(tzinfo=UTC)


def next_window(spans: Sequence[Window], until: datetime, lookback: timedelta) -> Window:
    """What a run that isn't told its beginning goes through.

    It begins where the first span ends, so that a gap between two is filled, and as much earlier as rows may come late,
    but not before anything that was asked for.

    Args:
        spans: That were gone through.
        until: End of the window.
        lookback: How far before the end of a span rows may have come since.
    """
    before = [span for span in joined(spans) if _begin(span) < until]
    if not before:
        return Window(until=until)
    first = before[0]
    since = min(first.until, until) - max(lookback, _LEAST)
    return Window(since=since if first.since is None else max(first.since, since), until=until)


def joined(spans: Sequence[Window]) -> list[Window]:
    """Spans that touch or overlap as one, in order."""
    found: list[Window] = []
    for span in sorted(spans, key=_begin):
        if found and _begin(span) <= found[-1].until:
            found[-1] = Window(since=found[-1].since, until=max(found[-1].until, span.until))
        else:
            found.append(span)
    return found


def is_through(spans: Sequence[Window], window: Window) -> bool:
    """Whether a window was gone through whole."""
    return any(_begin(span) <= _begin(window) and window.until <= span.until for span in joined(spans))


def read_spans(workspace: Workspace, model: str) -> list[Window]:
    """The spans that were gone through."""
    files = workspace.filesystem.find(_folder(workspace, model))
    return joined([Window.model_validate_json(workspace.read(file)) for file in files if file.endswith(".json")])


def keep_span(workspace: Workspace, model: str, window: Window) -> None:
    """Put on record that a run has gone through a window."""
    spans = joined([*read_spans(workspace, model), window])
    (span,) = [each for each in spans if _begin(each) <= _begin(window) < each.until]
    # A span that grows stays in its file: there are as many files as times at which somebody began anew.
    begin = "beginning" if span.since is None else f"{span.since.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
    workspace.write(f"{_folder(workspace, model)}/{begin}.json", span.model_dump_json().encode())


def _folder(workspace: Workspace, model: str) -> str:
    return workspace.file(model, "scored")


def _begin(span: Window) -> datetime:
    return _DAWN if span.since is None else span.since
