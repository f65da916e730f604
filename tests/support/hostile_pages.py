"""Models whose names, reasons and columns attack the pages that show them."""

from datetime import timedelta
from pathlib import Path

from support.pages import DAY, SPRING, Life, measured
from support.triage import broken, drifted, parity

from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import known_models
from everfit.tasks.monitoring.window_columns import WindowColumns
from everfit.tasks.pages.period import read_period
from everfit.tasks.pages.period_page import period_page
from everfit.tasks.pages.writing import write_model, write_overview
from everfit.tasks.statistics.distributions import Bar, ColumnDistribution
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.triage.delay_signal import DelaySignal
from everfit.tasks.triage.quality_signals import SliceFigure
from everfit.tasks.triage.signals import Signals

EVIL = "</script><script>window.evil=1</script><img src=x onerror=window.evil=1>'\"`${window.evil=1}"
UNREADABLE = "\u202etxt.exe\u2066 \x1b[2J"
QUOTED = "a'b\"c<img src=x onerror=window.evil=1>#?%"


def hostile_models(folder: Path) -> tuple[Ledger, Path]:
    """Write the pages of models in all states, one of which has hostile names and reasons and looks of two years.

    Returns:
        The ledger that they are written from, and the folder of the pages.
    """
    ledger, workspace = Ledger.open(f"sqlite:///{folder / 'ledger.db'}"), Workspace(str(folder))
    life = Life(ledger, "flights")
    life.champion(1, SPRING)
    life.hourly(SPRING + timedelta(hours=1), 17_520, columns=12, every=6)
    life.champion(3, SPRING + 400 * DAY)
    life.release(1, SPRING + 420 * DAY, kind="rollback", actor=f"Ada {EVIL}", reason=f"customers complain {EVIL}")
    for week in range(30):
        life.turn(SPRING + (60 + 20 * week) * DAY, "ChampionKept", f"Kept champion: {EVIL}", trigger_reason=EVIL)
    life.incident(SPRING + 600 * DAY, alert={"what": EVIL, "why": [EVIL], "page": "javascript:window.evil=1"})
    life.approval_asked(SPRING + 725 * DAY, reason=f"Waits for approval {EVIL}")
    life.look(SPRING + 731 * DAY, with_slices(0.6), columns={EVIL: 3.0, "temp": 5.0})
    life.look(SPRING + 732 * DAY, with_slices(0.6), columns={EVIL: 3.0, "temp": 5.0})
    keep_columns(workspace, "flights")
    workspace.write(workspace.file("pages", "flights", "prediction", f"{QUOTED}.html"), b"<p>a story</p>")
    for name, value, found in (("bikes", 0.75, None), ("cabs", 0.6, None), ("fraud", 0.75, broken("frozen", "wind"))):
        life = Life(ledger, name)
        life.champion(1, SPRING)
        for day in range(1, 30):
            extra = {"data": found} if found and day > 27 else {}
            life.look(SPRING + day * DAY, measured(value + 0.002 * (day % 5), **extra), columns={"temp": 0.1 * day})
        if name == "cabs":
            life.turn(SPRING + 20 * DAY, "ChampionKept", f"Kept {UNREADABLE} \udcff")
            life.look(SPRING + 30 * DAY, measured(value), columns={"temp": 1.0, f"column {UNREADABLE}": 9.0})
    Life(ledger, "parcels").turn(SPRING, "failed", error="the source is empty")
    Life(ledger, "rents").champion(1, SPRING)
    entries = {name: write_model(ledger, workspace, name) for name in known_models(ledger)}
    write_overview(ledger, workspace, entries)
    content = read_period(ledger, "cabs", SPRING, SPRING + 60 * DAY, now=SPRING + 60 * DAY, version="1.2.3")
    workspace.write(workspace.file("pages", "report.html"), period_page(content).encode())
    return ledger, folder / "pages"


def with_slices(value: float) -> Signals:
    """A look that is unfair, has lost a slice, and whose labels take long, with hostile names everywhere."""
    found = measured(value, drift=drifted(EVIL, "temp"), fairness=parity(0.12))
    [figure] = found.fairness.figures
    figure = figure.model_copy(
        update={"name": f"parity_of_{EVIL}", "label": f"parity of {EVIL}", "groups": (EVIL, "m")}
    )
    slices = (
        SliceFigure(name=f"{EVIL}={EVIL}", rows=9, value=0.5, standard_error=0.01, expected=0.7, bound=0.6, lost=True),
    )
    quality = found.quality.model_copy(update={"slices": slices, "lost_slices": (f"{EVIL}={EVIL}",), "reason": EVIL})
    fairness = found.fairness.model_copy(update={"figures": (figure,), "reason": EVIL})
    delays = DelaySignal.model_validate(
        {"status": "measured", "maturity": "7d", "days": 6, "lower": 5, "upper": 7, "late": 0, "followed": 21}
    )
    return found.model_copy(update={"quality": quality, "fairness": fairness, "delays": delays})


def keep_columns(workspace: Workspace, model: str) -> None:
    """Keep the distributions of two columns, one of which has a hostile name."""
    bars = tuple(Bar(label=label, then=then, now=1 - then) for label, then in ((EVIL, 0.25), ("below 7", 0.75)))
    found = WindowColumns(
        until=SPRING + 732 * DAY,
        version=1,
        trained_until=SPRING,
        columns=tuple(ColumnDistribution(name=name, bars=bars) for name in ("temp", EVIL)),
    )
    workspace.write(workspace.file(model, "columns.json"), found.canonical_json().encode())
