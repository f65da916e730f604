"""What has come to a source since somebody was last notified: pure, but for the look at the source itself."""

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
    """That new data has come, as it is told.

    Attributes:
        id: Names it: the same content gives the same id, so that a telling that is repeated is the same one.
        until: When the look was taken; what came later is another arrival.
        reason: In words.
        new: What has come, the first few.
        count: How much has come.
    """

    id: str
    until: AwareDatetime
    reason: str
    new: tuple[str, ...]
    count: int


class Announced(Record):
    """What is kept between looks.

    Attributes:
        content: The source's content of which somebody was notified: identity by name.
        pending: What may not have been told yet, because the last look was killed in the middle of it.
    """

    content: dict[str, str] = Field(default_factory=dict)
    pending: Arrival | None = None


def arrival(
    model: str, content: Mapping[str, str], told: Announced, accepted: Mapping[str, FileState], until: datetime
) -> Arrival | None:
    """What has come that nobody was notified of, and that no turn has taken; None if nothing has.

    Args:
        model: Name of the model.
        content: The source's present content: identity by name.
        told: What was told before.
        accepted: The files that a turn has taken already.
        until: When the look was taken.
    """
    taken = {name: mark.identity for name, mark in accepted.items()}
    new = sorted(
        name for name, identity in content.items() if identity not in {told.content.get(name), taken.get(name)}
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
    """The source's content, without reading it: files with their size and tag, a table's newest times, its version.

    Args:
        spec: Of the model.
        until: Rows of later event time are left out.

    Raises:
        SourceError: the source can't be reached, or is of a kind that tells nothing without being read.
    """
    match spec.source:
        case FilesSource() as source:
            from everfit.tasks.sources.listing import list_files

            return list_files(source)
        case SqlSource() as source:
            from everfit.tasks.sources.watermark import sql_watermark

            return sql_watermark(source, spec.columns, until)
        case DeltaSource(version=None) as source:
            from everfit.tasks.sources.watermark import delta_version

            return delta_version(source)
        case source:
            raise SourceError(
                f"a source of kind {source.kind!r} can't be watched without reading it; send the event from where the "
                f"data is made: everfit emit data-arrived {spec.name}"
            )
