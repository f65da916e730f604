"""Spans of event time that batch scoring has completed.

A span is recorded when a run ends; a killed run records nothing. If a record is lost, the rows are read again, but rows
that are in the prediction log are not predicted twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from everfit.tasks.core.records import Window
from everfit.tasks.storage.workspace import Workspace

_SHORTEST = timedelta(microseconds=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def next_window(spans: Sequence[Window], until: datetime, lookback: timedelta) -> Window:
    """Return the window that a run without a given beginning scores.

    It begins at the end of the first span, so that a gap between two spans is filled. The look-back moves it earlier,
    but not before the first span.

    Args:
        spans: The spans that were scored.
        until: End of the window.
        lookback: How late rows may arrive in the source.
    """
    earlier = [span for span in merge_spans(spans) if _beginning(span) < until]
    if not earlier:
        return Window(until=until)
    first = earlier[0]
    since = min(first.until, until) - max(lookback, _SHORTEST)
    return Window(since=since if first.since is None else max(first.since, since), until=until)


def merge_spans(spans: Sequence[Window]) -> list[Window]:
    """Merge spans that touch or overlap; return them in order."""
    merged: list[Window] = []
    for span in sorted(spans, key=_beginning):
        if merged and _beginning(span) <= merged[-1].until:
            merged[-1] = Window(since=merged[-1].since, until=max(merged[-1].until, span.until))
        else:
            merged.append(span)
    return merged


def is_scored(spans: Sequence[Window], window: Window) -> bool:
    """Return whether a window was scored completely."""
    return any(_beginning(span) <= _beginning(window) and window.until <= span.until for span in merge_spans(spans))


def read_spans(workspace: Workspace, model: str) -> list[Window]:
    """Return the spans that were scored, merged and in order."""
    files = workspace.filesystem.find(_folder(workspace, model))
    return merge_spans([Window.model_validate_json(workspace.read(file)) for file in files if file.endswith(".json")])


def record_span(workspace: Workspace, model: str, window: Window) -> None:
    """Record that a run has scored a window completely."""
    spans = merge_spans([*read_spans(workspace, model), window])
    (grown,) = [span for span in spans if _beginning(span) <= _beginning(window) < span.until]
    # A span that grows keeps its file, so the number of files doesn't grow with the number of runs.
    beginning = "beginning" if grown.since is None else f"{grown.since.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
    workspace.write(f"{_folder(workspace, model)}/{beginning}.json", grown.model_dump_json().encode())


def _folder(workspace: Workspace, model: str) -> str:
    return workspace.file(model, "scored")


def _beginning(span: Window) -> datetime:
    return _EARLIEST if span.since is None else span.since
