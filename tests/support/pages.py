"""A model's life written straight into a ledger: looks, turns, releases, incidents, of any length."""

import atexit
import math
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import insert
from support.triage import HOLDOUT, quality, reference, signals

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Incident, Ledger
from everfit.tasks.ledger.chain import insert_row
from everfit.tasks.ledger.schema import decisions, releases, turns
from everfit.tasks.monitoring.triage_history import JudgedWindow
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.triage.signals import Signals

DAY = timedelta(days=1)
SPRING = datetime(2024, 3, 1, tzinfo=UTC)


class Life:
    """The life of one model in a ledger.

    Attributes:
        model: Its name.
    """

    def __init__(self, ledger: Ledger, model: str = "flights") -> None:
        self.ledger, self.model = ledger, model
        self._turns = self._releases = 0

    def turn(self, until: datetime, state: str = "Promoted", reason: str = "better", **changes: Any) -> str:
        """Write a turn, and return its id."""
        self._turns += 1
        turn_id = f"{self.model}-{until:%Y%m%dT%H%M%S}-{self._turns:08x}"
        over = None if state == "running" else until
        self._insert(
            turns,
            {
                "id": turn_id,
                "model": self.model,
                "seq": self._turns,
                "trigger_kind": "manual",
                "trigger_reason": "a test",
                "trigger_id": "",
                "since": None,
                "until": until,
                "state": state,
                "verdict": None,
                "reasons": [reason],
                "record": {},
                "spec_digest": "",
                "code_version": "",
                "attempt": 1,
                "fence": None,
                "started_at": until,
                "finished_at": over,
                "seconds": 1.0,
                "error": None,
            }
            | changes,
        )
        return turn_id

    def release(self, version: int, at: datetime, turn_id: str | None = None, **changes: Any) -> None:
        """Write the release of a version."""
        self._releases += 1
        self._insert(
            releases,
            {
                "model": self.model,
                "seq": self._releases,
                "version": version,
                "previous_version": None,
                "kind": "promotion",
                "reason": "better",
                "actor": "gate",
                "turn_id": turn_id,
                "state": "verified",
                "run_id": "",
                "snapshot_digest": "",
                "note": "",
                "at": at,
                "verified_at": at,
            }
            | changes,
        )

    def champion(self, version: int, at: datetime) -> None:
        """Write a turn that released a version."""
        record = {"version": {"model": self.model, "version": version, "run_id": "a run"}}
        self.release(version, at, self.turn(at, record=record))

    def look(self, until: datetime, found: Signals | None = None, **changes: Any) -> str:
        """Write a look, and return its id."""
        row = self.look_row(until, found, **changes)
        self._insert(decisions, row)
        return str(row["id"])

    def look_row(self, until: datetime, found: Signals | None = None, **changes: Any) -> dict[str, Any]:
        window = Window(since=until - DAY, until=until)
        found = (found or signals()).model_copy(update={"window": window, "model": self.model})
        if found.quality.measured:
            measured = found.quality.model_copy(update={"window": window})
            found = found.model_copy(update={"quality": measured})
        decision = triage(found, History(), TriagePolicy(retraining=RetrainingPolicy()))
        judged = JudgedWindow(signals=found, decision=decision, **changes)
        return self._look(until, judged)

    def _look(self, until: datetime, judged: JudgedWindow, number: int | None = None) -> dict[str, Any]:
        decision = judged.decision
        return {
            "id": decision.id if number is None else f"{decision.id[:40]}{number:08x}",
            "model": self.model,
            "turn_id": None,
            "kind": "triage",
            "verdict": decision.verdict,
            "until": until,
            "reasons": list(decision.reasons),
            "record": judged.model_dump(mode="json"),
            "at": until,
        }

    def hourly(self, since: datetime, hours: int, columns: int = 12, every: int = 1) -> None:
        """Write a healthy look each hour, or every so many, whose quality waves, with the drift of so many columns."""
        template = self.look_row(since)
        self._insert_many(_hours(template, since, range(0, hours, every), columns))

    def approval_asked(self, at: datetime, version: int = 2, reason: str = "Waits for approval") -> str:
        """Write a turn that waits for approval."""
        record = {"version": {"model": self.model, "version": version, "run_id": "a run"}}
        return self.turn(at, "AwaitingApproval", reason, record=record)

    def incident(self, at: datetime, subject: str = "window", **changes: Any) -> Incident:
        """Write an open incident."""
        alert = {"what": "a person is needed", "why": ["no rows came"], "command": f"everfit history {self.model}"}
        incident = Incident(
            id=f"{self.model}/incident/{subject}",
            model=self.model,
            seq=1,
            subject=subject,
            state="open",
            severity="critical",
            opened_at=at,
            updated_at=at,
            alert=alert,
        ).model_copy(update=changes)
        self.ledger.incidents.change(self.model, subject, lambda _, seq: incident.model_copy(update={"seq": seq}))
        return incident

    def _insert(self, table: Any, values: dict[str, Any]) -> None:
        with self.ledger.store.write(self.model) as connection:
            insert_row(connection, table, values)

    def _insert_many(self, rows: Iterable[dict[str, Any]]) -> None:
        with self.ledger.store.write(self.model) as connection:
            connection.execute(insert(decisions), list(rows))


_LIVED: dict[Hashable, tuple[sqlite3.Connection, int, int]] = {}


def lived_once(ledger: Ledger, name: Hashable, live: Callable[[Life], None]) -> Life:
    """Let a model live in an empty ledger; where the same was done in this process before, copy what that has left."""
    life = Life(ledger)
    with closing(sqlite3.connect(str(ledger.store._engine.url.database))) as database:
        if name not in _LIVED:
            live(life)
            kept = sqlite3.connect(":memory:")
            atexit.register(kept.close)
            database.backup(kept)
            _LIVED[name] = kept, life._turns, life._releases
        else:
            kept, life._turns, life._releases = _LIVED[name]
            kept.backup(database)
    return life


def measured(value: float, **changes: Any) -> Signals:
    """Signals with a live quality."""
    return signals(quality=quality(value), reference=reference(version=1), **changes)


def _hours(template: dict[str, Any], since: datetime, hours: Iterable[int], columns: int) -> Iterator[dict[str, Any]]:
    record = template["record"]
    for hour in hours:
        wave = round(HOLDOUT.value + 0.02 * math.sin(hour / 300) + 0.004 * math.sin(hour * 7.3), 6)
        window = {"since": since + timedelta(hours=hour - 24), "until": since + timedelta(hours=hour)}
        part = record["signals"] | {
            "quality": record["signals"]["quality"] | {"value": wave},
            "reference": record["signals"]["reference"] | {"version": 1},
        }
        drift = {f"column {place}": round(abs(math.sin(hour / (90 + place))), 3) for place in range(columns)}
        yield template | {
            "id": f"{hour:064x}",
            "until": window["until"],
            "at": window["until"],
            "record": record | {"signals": part, "columns": drift},
        }


def page_data(workspace: Workspace, model: str = "flights") -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(workspace.read(workspace.file("pages", model, "page.json")))
    return content


def page_text(workspace: Workspace, *names: str) -> str:
    return workspace.read(workspace.file("pages", *names, "index.html")).decode()


def lived_days(ledger: Ledger, days: int = 30) -> Life:
    def live(life: Life) -> None:
        life.champion(1, SPRING)
        for day in range(1, days):
            life.look(SPRING + day * DAY, measured(0.74 + 0.0005 * day), columns={"temp": 0.1 * day})

    return lived_once(ledger, ("days", days), live)
