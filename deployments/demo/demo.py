"""The demo: the year 2013 lived through month by month, on the embedded defaults."""

import logging
import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.output import console
from everfit.deployments.demo import views
from everfit.deployments.demo.data import MODEL, prepare
from everfit.deployments.demo.year import ENDS, FIRST, measure

if TYPE_CHECKING:
    from everfit.tasks.turns.context import Context

_QUICK = 3
_FOLDER = Path(".everfit/demo")


def run_demo(*, fresh: bool, quick: bool = False, quiet: bool = True) -> None:
    """Live through the months that have not been lived through yet, and show the outcome of them.

    Args:
        fresh: Whether to delete the results of an earlier demo first.
        quick: Whether to replay three months only.
        quiet: Whether Prefect's own log lines appear in the UI only.

    Raises:
        SourceError: the demo's data is not installed.
    """
    began, settings = time.monotonic(), Settings()
    ends = ENDS[:_QUICK] if quick else ENDS
    if fresh:
        _delete_results(settings)
    environment.prepare(settings, quiet=quiet)
    console.print("Preparing the flights of 2013 …")
    prepare(_FOLDER / "flights")

    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.context import Context

    context = Context(load_spec(MODEL), settings)
    months_left = _months_left(context, ends)
    if months_left:
        _replay(context, months_left)
    else:
        console.print("The demo is complete already; `everfit demo --fresh` starts over.")
    months = measure(context, ends)
    from everfit.deployments.demo.plot import draw

    pictures = draw(months, _FOLDER)
    reports = _reports(context, [(month.until, month.run_id) for month in months])
    views.print_year(months)
    views.print_files(pictures, reports, settings, time.monotonic() - began)


def _months_left(context: "Context", ends: Sequence[datetime]) -> list[datetime]:
    """Return the months that were not monitored, or whose turn is not finished."""
    decisions = {entry.until: entry for entry in context.ledger.decisions.of(MODEL, kind="triage")}
    turns = {turn.trigger.id: turn for turn in context.ledger.turns.of(MODEL)}
    left = []
    for end in ends:
        decision = decisions.get(end)
        turn = turns.get(decision.id) if decision else None
        if decision is None or (turn is not None and not turn.settled):
            left.append(end)
    return left


def _replay(context: "Context", ends: Sequence[datetime]) -> None:
    console.print("Starting Prefect's temporary server and the libraries; the first start takes longest …")
    wait_for_server = environment.start_temporary_server()
    from everfit.deployments.cli.runs import result_of, warm_up

    warm_up(MODEL)
    from everfit.flows.monitoring_flow import monitoring
    from everfit.flows.scoring_flow import scoring
    from everfit.flows.training_flow import training
    from everfit.tasks.core.records import Trigger

    wait_for_server()
    if context.ledger.releases.current(MODEL) is None:
        console.print(f"\n[bold]{FIRST:%Y-%m-%d}[/bold]  the first turn trains on January and February")
        result_of(training(MODEL, FIRST, Trigger(reason="the first two months of 2013"), return_state=True))
    logging.getLogger("everfit.monitoring").setLevel(logging.WARNING)  # the demo says the same in a line of its own
    before = dict(zip(ENDS, (FIRST, *ENDS), strict=False))
    for end in ends:
        console.print(f"\n[bold]{before[end]:%B}[/bold]  predict the month's flights, then monitor …")
        result_of(scoring(MODEL, before[end], end, return_state=True))
        views.print_month(result_of(monitoring(MODEL, end, return_state=True)))


def _reports(context: "Context", runs: Sequence[tuple[datetime, str]]) -> list[Path]:
    """Copy Evidently's reports, and return their paths in order of time."""
    folder = _FOLDER / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for until, run_id in runs:
        path = folder / f"drift-{until:%Y-%m-%d}.html"
        if not path.exists():
            copy = Path(context.mlflow.download_artifacts(run_id, "drift.html"))
            shutil.copy(copy, path)
        paths.append(path)
    return paths


def _delete_results(settings: Settings) -> None:
    """Delete the results of an earlier demo. The prepared flights stay."""
    for path in [*settings.state_dir.glob("*"), *_FOLDER.glob("*")]:
        if path.name in {"demo", "flights"}:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
