"""Flows that a user composes of everfit's steps: their turns, their states, and the examples of the docstrings."""

import doctest
import inspect
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from prefect import flow, task
from support.deliveries import SPEC, deliveries, write_month

import everfit
import everfit.tasks
from everfit.blocks.errors import DataError, LedgerError
from everfit.tasks import OpenTurn
from everfit.tasks.monitoring.triage_history import past_turn
from everfit.tasks.steps.step import step, step_logger

pytestmark = pytest.mark.usefixtures("prefect_server")

FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)

IN_ORDER = (
    "own_metric",
    "open_context", "score", "collect_labels", "read_predictions", "find_champion", "read_window", "measure_drift",
    "measure_quality", "measure_signals", "open_window_run", "decide_window", "notify", "open_turn", "OpenTurn",
    "-", "ingest", "transform_rows", "validate", "commit", "split", "take_snapshot", "already_trained", "training_data",
    "try_candidates", "fit", "evaluate", "preview_gate", "refit", "convert", "register", "check_serving", "apply_gate",
    "track", "longer_holdout", "release_challenger", "-", "roll_back", "reconcile", "request_turn",
)  # fmt: skip
"""The public names in an order in which their examples run; between the dashes a turn is open."""


def test_the_examples_of_the_docstrings_run(released: str) -> None:
    """Given a champion of March, and a spring in which the world is another one, the examples make a new champion."""
    until = datetime(2024, 5, 1, tzinfo=UTC)
    folder = Path(released).parent
    spec = SPEC | {"training": SPEC["training"] | {"window": "50d"}, "monitoring": {"report": "never"}}  # type: ignore[operator]
    (folder / "deployments" / "models").mkdir(parents=True)
    (folder / "deployments" / "models" / "deliveries.yaml").write_text(yaml.safe_dump(spec))
    write_month(folder, "spring", deliveries("2024-03-01", 60, seed=1, strength=-3.0))
    names: dict[str, Any] = {"everfit": everfit, "datetime": datetime, "UTC": UTC, "UNTIL": until}
    before, within, after = (part.split() for part in " ".join(IN_ORDER).split("-"))
    assert {*before, *within, *after} == {name for name in everfit.tasks.__all__ if has_example(name)}

    for name in before:
        run_example(name, names)
    with everfit.tasks.open_turn("deliveries", reason="the examples", until=until) as turn:
        names["turn"] = turn
        for name in within:
            run_example(name, names)
        ended = turn.end(names["state"], names["reasons"])
    for name in after:
        run_example(name, names)

    assert ended.name == "Promoted"
    here = everfit.tasks.open_context("deliveries")
    assert [entry.kind for entry in here.ledger.releases.of("deliveries")] == ["promotion", "promotion", "rollback"]


def docstring(name: str) -> str:
    result = getattr(everfit.tasks, name)
    return inspect.getdoc(inspect.unwrap(getattr(result, "fn", result))) or ""


def has_example(name: str) -> bool:
    return ">>>" in docstring(name)


def run_example(name: str, names: dict[str, Any]) -> None:
    examples = doctest.DocTestParser().get_doctest(docstring(name), names, name, None, None)
    assert examples.examples, f"{name} has no example"
    examples.globs = names
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(examples, out=said.append, clear_globs=False)
    assert said == [], "".join(said)


def test_a_turn_of_an_own_flow_is_kept_as_other(model: str) -> None:
    @flow
    def checking(reason: str) -> Any:
        with everfit.tasks.open_turn(model, reason=reason, until=FEBRUARY) as turn:
            if turn.settled:
                return turn.final_state()
            batch = everfit.tasks.ingest(turn)
            validation = everfit.tasks.validate(turn, batch)
            if reason == "it breaks":
                raise RuntimeError("a step of my own")
            if reason == "no end":
                return None
            return turn.end("MyOwnState", validation.reasons or "all is well")

    ended = checking("fine", return_state=True)
    assert (ended.name, ended.is_completed()) == ("MyOwnState", True)
    assert checking("fine", return_state=True).name == "MyOwnState"  # the same run again does nothing
    with pytest.raises(RuntimeError, match="a step of my own"):
        checking("it breaks")
    checking("no end")

    here = everfit.tasks.open_context(model)
    turns = {turn.trigger.reason: turn for turn in here.ledger.turns.observed("deliveries")}
    assert {reason: turn.state for reason, turn in turns.items()} == {
        "fine": "MyOwnState", "it breaks": "failed", "no end": "Other",
    }  # fmt: skip
    assert {past_turn(turn, None).outcome for turn in turns.values()} == {"other"}
    # What its steps found is in its record, also where it broke off, and a broken turn is taken up again.
    for turn in turns.values():
        record = everfit.tasks.TurnRecord.recall(turn.record)
        assert record.own_flow == "checking"
        (own,) = record.own_modules
        assert own.endswith("test_own_flows.py")  # no import finds this file
        assert record.batch is not None
        assert record.validation is not None
    with everfit.tasks.open_turn(here, reason="it breaks", until=FEBRUARY) as again:
        assert again.record.batch is None
        assert everfit.tasks.ingest(again) == everfit.tasks.TurnRecord.recall(turns["it breaks"].record).batch
        assert again.end("Mended").name == "Mended"


def test_a_turn_that_is_over_takes_no_step_and_claims_nothing(model: str) -> None:
    with everfit.tasks.open_turn(model, reason="claims", until=FEBRUARY) as turn:
        for state in ("Promoted", "ChampionKept", "AwaitingApproval", "OnTrial"):
            with pytest.raises(LedgerError, match=f"can't end as '{state}': the gate has not decided"):
                turn.end(state)
        with pytest.raises(DataError, match="call `split` and `take_snapshot` first"):
            everfit.tasks.training_data(turn)
        assert turn.end("Looked").name == "Looked"
        with pytest.raises(LedgerError, match="ended as 'Looked' already; begin with"):
            everfit.tasks.ingest(turn)
        with pytest.raises(LedgerError, match="nothing can be added to its record"):
            turn.keep(own_flow="another")


def test_rows_changed_by_an_own_step_are_those_that_are_validated_and_taken(model: str, workspace: Path) -> None:
    """Given a depot that writes metres, when its rows are changed on their way in, then the dataset has kilometres."""
    calls: list[int] = []

    def in_kilometres(rows: pd.DataFrame) -> pd.DataFrame:
        calls.append(len(rows))
        return rows.assign(distance=rows["distance"] / 1000, far=rows["distance"] > 5)

    def take_in(reason: str) -> pd.DataFrame:
        with everfit.tasks.open_turn(model, reason=reason, until=FEBRUARY) as turn:
            batch = everfit.tasks.ingest(turn)
            changed = everfit.tasks.transform_rows(turn, batch, in_kilometres)
            assert everfit.tasks.transform_rows(turn, batch, in_kilometres) == changed  # a step finds what it left
            validation = everfit.tasks.validate(turn, changed)
            everfit.tasks.commit(turn, changed, validation)
            turn.end("TakenIn")
        return turn.context.workspace.table("deliveries", "dataset").read()

    dataset = take_in("first")
    assert sum(calls) == len(dataset) > 1_000
    assert dataset["distance"].max() < 0.011
    assert dataset["far"].mean() == pytest.approx(0.5, abs=0.1)
    # And the next turn finds them to be known, and changes nothing.
    assert len(take_in("second")) == len(dataset)

    with everfit.tasks.open_turn(model, reason="wrong", until=FEBRUARY) as turn:
        batch = everfit.tasks.ingest(turn)
        for wrong, message in (
            (lambda rows: rows.head(3), "turned .* rows into 3"),
            (lambda rows: rows.drop(columns="late"), "lost the columns \\['late'\\]"),
            (lambda rows: None, "returned NoneType, not a data frame"),
        ):
            with pytest.raises(DataError, match=message):
                everfit.tasks.transform_rows(turn, batch, wrong)


def test_steps_are_tasks_like_any_other(model: str) -> None:
    """They are submitted, mapped and renamed, beside tasks of the user's own."""

    @task
    def plus_hours(hours: int) -> datetime:
        return FEBRUARY + timedelta(hours=hours)

    @flow
    def composed() -> Any:
        context = everfit.tasks.open_context(model)
        repaired = everfit.tasks.reconcile.submit(context)
        with everfit.tasks.open_turn(context, until=plus_hours(2), reason="submitted") as turn:
            named = everfit.tasks.ingest.with_options(name="take it in", retries=1)
            batch = named.submit(turn, wait_for=[repaired])
            [validation] = everfit.tasks.validate.map([turn], [batch.result()]).result()
            assert turn.record.validation == validation
            return turn.end("Composed", repaired.result() or "in order")

    assert composed(return_state=True).name == "Composed"


def test_a_turn_is_small_to_send(model: str) -> None:
    with everfit.tasks.open_turn(model, reason="sent", until=FEBRUARY) as turn:
        everfit.tasks.ingest(turn)
        sent = pickle.dumps(turn)
        assert len(sent) < 20_000
        received: OpenTurn = pickle.loads(sent)  # noqa: S301
        assert everfit.tasks.validate(received, received.record.batch).passed
        assert turn.record.validation is not None
        turn.end("Sent")


def test_a_step_that_loses_its_connection_is_tried_again_and_another_mistake_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[str] = []
    logger = step_logger("everfit.training")

    @step("network", log="fetch")
    def fetch(error: Exception) -> str:
        tries.append("fetch")
        if len(tries) < 3:
            raise error
        logger.info("after %d tries", len(tries))
        return "there"

    with caplog.at_level("INFO", logger="everfit.training"):
        assert fetch.with_options(retry_delay_seconds=0)(ConnectionResetError("gone")) == "there"
    assert "fetch     after 3 tries" in caplog.messages
    tries.clear()
    with pytest.raises(DataError):
        fetch.with_options(retry_delay_seconds=0)(DataError("no column"))
    assert tries == ["fetch"]
