"""Detect data that is new in a source."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource, FilesSource, SqlSource
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record
from everfit.tasks.sources.file_state import FileState

_NAMED = 20


class Arrival(Record):
    """An announcement of new data.

    Attributes:
        id: Identity of the announcement: the same content gives the same id, so a repeated announcement is recognised.
        until: When the source was checked; data that comes later belongs to another arrival.
        reason: Explanation for people.
        new: Names of the first few new items.
        count: Number of new items.
    """

    id: str
    until: AwareDatetime
    reason: str
    new: tuple[str, ...]
    count: int


class Announced(Record):
    """State that is kept between two checks of a source.

    Attributes:
        content: Announced content of the source: identity by name.
        pending: Arrival that may not be announced yet, because the last check was killed halfway.
    """

    content: dict[str, str] = Field(default_factory=dict)
    pending: Arrival | None = None


def new_arrival(
    model: str, content: Mapping[str, str], announced: Announced, accepted: Mapping[str, FileState], until: datetime
) -> Arrival | None:
    """Return the data that is neither announced nor ingested, or None.

    Args:
        model: Name of the model.
        content: Current content of the source: identity by name.
        announced: State after the last check.
        accepted: Files that turns have ingested, by path.
        until: When the source was checked.
    """
    ingested = {name: state.identity for name, state in accepted.items()}
    new = sorted(
        name for name, identity in content.items() if identity not in {announced.content.get(name), ingested.get(name)}
    )
    if not new:
        return None
    identity = json.dumps([model, [[name, content[name]] for name in new]])
    return Arrival(
        id=hashlib.sha256(identity.encode()).hexdigest()[:32],
        until=until,
        reason=f"{len(new)} new in the source: {', '.join(new[:3])}{', …' if len(new) > 3 else ''}",
        new=tuple(new[:_NAMED]),
        count=len(new),
    )


def source_content(spec: ModelSpec, until: datetime) -> dict[str, str]:
    """Return the identity of a source's content without reading it.

    Files are identified by size and tag, SQL tables by their newest times, and Delta tables by their version.

    Args:
        spec: Spec of the model.
        until: End of event time; later rows are ignored.

    Returns:
        Identity by name of the file, table or query.

    Raises:
        SourceError: If the source can't be reached, or its kind can't be watched.
    """
    match spec.source:
        case FilesSource() | DeltaSource(version=None) as source:
            return content_of(source)
        case SqlSource() as source:
            from everfit.tasks.sources.watermark import sql_watermark

            return sql_watermark(source, spec.columns, until)
        case source:
            raise SourceError(
                f"a source of kind {source.kind!r} can't be watched without reading it; send the event from where the "
                f"data is produced: everfit emit data-arrived {spec.name}"
            )


def content_of(source: FilesSource | DeltaSource) -> dict[str, str]:
    """Return the identity of the content of files or of a Delta table, which changes whenever the content does.

    Raises:
        SourceError: If the source can't be reached.
    """
    if isinstance(source, FilesSource):
        from everfit.tasks.sources.listing import list_files

        return list_files(source)
    from everfit.tasks.sources.watermark import delta_version

    return delta_version(source)
