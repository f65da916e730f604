"""The pages of models: what a look costs after two years of hourly looks, and a page of 500 models.

    python tests/bench/bench_pages.py --hours 17520 --models 500

The ratio says whether the cost grows with the history: of a look after all hours to one after a hundredth of them.
"""

import argparse
import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests/support

from support.pages import SPRING, Life, measured

from everfit.tasks.ledger import Ledger
from everfit.tasks.pages.writing import write_model, write_overview
from everfit.tasks.storage.workspace import Workspace

FIRST_PAINT = """new Promise(found => new PerformanceObserver(entries => found(entries.getEntries()[0].startTime))
    .observe({type: 'paint', buffered: true}))"""


def main() -> None:
    """Measure, and print sizes, seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=17_520)
    parser.add_argument("--models", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="everfit-pages-") as folder:
        few = a_look(Path(folder, "few"), given.hours // 100)
        many = a_look(Path(folder, "many"), given.hours)
        page = Path(folder, "many", "pages", "flights", "index.html")
        print(f"a look after {given.hours:,} looks: {many:.3f} s of the processor, {many / few:.1f} of one after 1 %")
        print(f"its page: {page.stat().st_size / 1e6:.2f} MB{painted(page)}")
        seconds, page = overview(Path(folder, "all"), given.models)
        print(f"the page of {given.models} models: {seconds:.3f} s, {page.stat().st_size / 1e6:.2f} MB{painted(page)}")


def a_look(folder: Path, hours: int) -> float:
    """Return the processor time in which a page takes in one more look."""
    ledger, workspace = Ledger.open(f"sqlite:///{folder}/ledger.db"), Workspace(str(folder))
    life = Life(ledger)
    life.champion(1, SPRING)
    life.hourly(SPRING + timedelta(hours=1), hours, columns=30)
    write_model(ledger, workspace, "flights")
    times = []
    for more in range(5):
        life.look(SPRING + timedelta(hours=hours + 2 + more), measured(0.75))
        began = time.process_time()
        write_model(ledger, workspace, "flights")
        times.append(time.process_time() - began)
    return sorted(times)[2]


def overview(folder: Path, models: int) -> tuple[float, Path]:
    """Return the processor time in which one row of the page of all models is written anew, and the page."""
    ledger, workspace = Ledger.open(f"sqlite:///{folder}/ledger.db"), Workspace(str(folder))
    entry: Any = None
    for number in range(models):
        life = Life(ledger, f"model-{number}")
        life.champion(1, SPRING)
        if entry is None:
            for hour in range(1, 60):
                life.look(SPRING + timedelta(hours=hour), measured(0.7 + hour % 7 / 100))
            entry = write_model(ledger, workspace, life.model)
    write_overview(ledger, workspace, {f"model-{number}": entry for number in range(models)}, afresh=True)
    began = time.process_time()
    write_overview(ledger, workspace, {"model-7": entry})
    return time.process_time() - began, Path(workspace.file("pages", "index.html"))


def painted(page: Path) -> str:
    """Return when Chromium first paints a page, in words; empty if there is no Chromium."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        return ""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page()
        shown.goto(page.as_uri())
        first = shown.evaluate(FIRST_PAINT)
        browser.close()
    return f", first painted after {first / 1000:.2f} s"


if __name__ == "__main__":
    main()
