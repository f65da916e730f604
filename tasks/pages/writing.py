"""Write the pages of models into the workspace, each look and turn adding to what is there.

The page's JSON holds all that its charts show, so an update reads only the rows that the ledger has got since.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson

from everfit.blocks.content import PAGES_FOLDER
from everfit.blocks.errors import BusyError, WorkspaceError
from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.outside_text import writable
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import known_models
from everfit.tasks.monitoring.triage_history import TRIAGE
from everfit.tasks.monitoring.window_columns import read_columns
from everfit.tasks.pages.evidence import Content, look_evidence, turn_evidence
from everfit.tasks.pages.facts import ModelFacts, read_model_facts
from everfit.tasks.pages.looks import look_of
from everfit.tasks.pages.marks import marks_of
from everfit.tasks.pages.model_page import model_page
from everfit.tasks.pages.overview_page import entry_of, overview_page
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.status import status_of
from everfit.tasks.pages.worth_section import worth_content
from everfit.tasks.storage.workspace import Workspace

T = TypeVar("T")

logger = logging.getLogger("everfit.pages")

FOLDER = PAGES_FOLDER
"""The folder of the workspace that has the pages."""
FORMAT, _PAGE_FORMAT = 1, 2
"""The formats of the data for the page of all models, and for the page of one."""
STORIES_FOLDER = "prediction"
"""The folder beside a model's page that has the stories of predictions."""
_PART = 1_000
"""Looks that are read at once."""
_KEPT, _QUIET = 20, 4
"""The newest turns, and looks that found something, whose evidence a page has; and the newest healthy looks."""
_WAIT = timedelta(seconds=20)


class PageLinks(Record):
    """The addresses that a page leads to; empty where nobody serves them.

    Attributes:
        looks: The beginning of the address of a look's run in MLflow.
        turns: The same of a turn's run.
        prefect: The address of Prefect's pages.
    """

    looks: str = ""
    turns: str = ""
    prefect: str = ""


def write_model(
    ledger: Ledger,
    workspace: Workspace,
    model: str,
    *,
    policy: RetrainingPolicy | None = None,
    links: PageLinks | None = None,
    afresh: bool = False,
) -> Content:
    """Write the page of a model, and return its row on the page of all models.

    Args:
        ledger: The ledger.
        workspace: The workspace.
        model: The name of the model.
        policy: The limits of its spec, if the spec is known.
        links: The addresses that the page leads to; those that are empty stay what they were.
        afresh: Whether to read the whole history again.
    """
    before = _read(workspace, model)
    kept = None if afresh else before
    series = Series() if kept is None else Series.load(kept["series"])
    content: Content = kept or {"cursor": None, "looks": [], "turns": {}}
    _add_looks(ledger, model, content, series)
    facts = read_model_facts(ledger, model, datetime.now(UTC), policy=policy)
    content["turns"] = _turns(ledger, facts, content["turns"])
    status = status_of(facts)
    content |= {
        "limits": (before or {}).get("limits", "") if status.limits is None else status.limits.summary,
        "left": (before or {}).get("left", "") if status.limits is None else status.limits.left,
        "format": _PAGE_FORMAT,
        "model": model,
        "written_at": facts.until.isoformat(),
        "status": status.model_dump(mode="json", exclude={"last_turn"}),
        "links": _links(links, before),
        "marks": [mark.model_dump(mode="json") for mark in marks_of(facts)],
        "reigns": [[reign.since.isoformat(), reign.version] for reign in facts.reigns],
        "series": series.dump(),
        "worth": worth_content(ledger, model),
    }
    workspace.write(_file(workspace, model, "page.json"), _bytes(content))
    page = model_page(status, content, series, read_columns(workspace, model), _stories(workspace, model))
    workspace.write(_file(workspace, model, "index.html"), page.encode())
    return entry_of(status, facts, series, content)


def write_overview(ledger: Ledger, workspace: Workspace, entries: dict[str, Content], *, afresh: bool = False) -> None:
    """Write the page of all models, with new rows in the place of earlier ones.

    Args:
        ledger: The ledger; its lease keeps others from writing the page at the same time.
        workspace: The workspace.
        entries: Rows by the name of their model.
        afresh: Whether these are all rows.
    """
    try:
        with ledger.leases.hold("", scope="pages", wait=_WAIT):
            path = workspace.file(FOLDER, "index.json")
            rows: dict[str, Content] = {} if afresh else _rows(workspace, path)
            rows |= entries
            known = known_models(ledger)
            rows = {name: row for name, row in sorted(rows.items()) if name in known}
            content = {"format": FORMAT, "written_at": datetime.now(UTC).isoformat(), "models": rows}
            workspace.write(path, _bytes(content))
            workspace.write(workspace.file(FOLDER, "index.html"), overview_page(content).encode())
    except BusyError as error:
        logger.warning("the page of all models is not up to date; the next look writes it again: %s", error)


def _add_looks(ledger: Ledger, model: str, content: Content, series: Series) -> None:
    """Add the looks that the ledger has got since the page was written."""
    cursor = None if content["cursor"] is None else datetime.fromisoformat(content["cursor"])
    recent = {look["id"]: look for look in content["looks"]}
    while True:
        part = ledger.decisions.since(model, kind=TRIAGE, at=cursor, limit=_PART)
        for entry in part:
            series.add(look_of(entry))
        chosen = _newest([(entry.verdict, entry) for entry in part])
        recent |= {entry.id: look_evidence(entry) for entry in chosen if entry.id not in recent}
        ordered = sorted(recent.values(), key=lambda look: look["until"])
        recent = {look["id"]: look for look in _newest([(look["verdict"], look) for look in ordered])}
        if len(part) < _PART or part[-1].at == cursor:
            break
        cursor = part[-1].at
    newest = part[-1].at if part else cursor
    content["cursor"] = None if newest is None else newest.isoformat()
    content["looks"] = list(recent.values())


def _newest(looks: list[tuple[str, T]]) -> list[T]:
    """Return the looks that a page shows, of those that come with their verdicts, oldest first."""
    quiet = [place for place, (verdict, _) in enumerate(looks) if verdict == "healthy"][-_QUIET:]
    others = [place for place, (verdict, _) in enumerate(looks) if verdict != "healthy"][-_KEPT:]
    return [looks[place][1] for place in sorted((*quiet, *others))]


def _turns(ledger: Ledger, facts: ModelFacts, known: dict[str, Content]) -> dict[str, Content]:
    """Return the newest turns with their evidence; a turn that has changed its state is read again."""
    return {
        turn.id: known[turn.id]
        if turn.settled and turn.id in known and known[turn.id]["verdict"] == turn.state
        else turn_evidence(ledger.story(turn.id))
        for turn in facts.turns[-_KEPT:]
    }


def _links(given: PageLinks | None, before: Content | None) -> dict[str, str]:
    """Return the addresses that are known now, and otherwise those that the page had."""
    known = PageLinks.recall((before or {}).get("links") or {}).model_dump()
    return known | {name: address for name, address in (given or PageLinks()).model_dump().items() if address}


def _stories(workspace: Workspace, model: str) -> list[str]:
    """Return the ids of the predictions whose story was written."""
    folder, filesystem = _file(workspace, model, STORIES_FOLDER), workspace.filesystem
    if not filesystem.exists(folder):
        return []
    names = [str(path).rpartition("/")[2] for path in filesystem.ls(folder, detail=False)]
    return sorted(name.removesuffix(".html") for name in names if name.endswith(".html"))


def _read(workspace: Workspace, model: str) -> Content | None:
    """Return the page's data; None if there is none yet, or one of another format."""
    path = _file(workspace, model, "page.json")
    try:
        content: Any = orjson.loads(workspace.read(path))
        if content["format"] == _PAGE_FORMAT:
            Series.load(content["series"])
            return dict(content)
    except (WorkspaceError, ValueError, KeyError, TypeError):
        pass
    return None


def _rows(workspace: Workspace, path: str) -> dict[str, Content]:
    try:
        content: Any = orjson.loads(workspace.read(path))
        return dict(content["models"]) if content["format"] == FORMAT else {}
    except (WorkspaceError, ValueError, KeyError, TypeError):
        return {}


def _file(workspace: Workspace, model: str, name: str) -> str:
    return workspace.file(FOLDER, model, name)


def _bytes(content: Content) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:  # of half a character in a text
        return orjson.dumps(writable(content))
