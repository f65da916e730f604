"""Runs of batch scoring at the same time, over windows that overlap, predict each row once."""

import threading
from datetime import UTC, datetime

import pytest

from everfit.blocks.settings import Settings
from everfit.tasks.batch import scoring
from everfit.tasks.batch.scoring import score_batch
from everfit.tasks.core.records import Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.predictions import prediction_log
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_runs_at_once_over_windows_that_overlap_predict_each_row_once(
    released: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [
        Window(since=datetime(2024, 1, 1, tzinfo=UTC), until=datetime(2024, 2, day, tzinfo=UTC)) for day in (10, 15, 20)
    ]
    contexts = [Context(load_spec(released), Settings()) for _ in windows]
    loaded, all_loaded = scoring.load_scorer, threading.Barrier(len(windows), timeout=60)

    def load_together(*given: object) -> object:
        scorer = loaded(*given)  # type: ignore[arg-type]
        all_loaded.wait()  # from here on all of them may score
        return scorer

    monkeypatch.setattr(scoring, "load_scorer", load_together)
    added: list[int] = []
    errors: list[Exception] = []

    def run(context: Context, window: Window) -> None:
        try:
            added.append(score_batch(context, window, again=True).added)
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(contexts, windows, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert errors == []
    here = contexts[0]
    log = prediction_log.read(here.workspace.table("deliveries", "predictions"), None, here.spec.columns.time)
    assert len(log) == sum(added) > 0
    assert log["_key"].is_unique
