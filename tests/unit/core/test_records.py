"""Records outlive the code that wrote them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Record, Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.explanation import explain
from everfit.tasks.turns.turn_record import TurnRecord

UNTIL = datetime(2024, 3, 1, tzinfo=UTC)


class Part(Record):
    value: int = 0


class Whole(Record):
    part: Part | None = None
    parts: tuple[Part, ...] = ()


def test_a_record_is_read_without_the_fields_that_are_gone_and_made_with_none_too_many() -> None:
    kept = {"part": {"value": 1, "gone": 2}, "parts": [{"value": 3, "gone": 4}], "gone": {}}

    assert Whole.recall(kept) == Whole(part=Part(value=1), parts=(Part(value=3),))
    with pytest.raises(ValidationError, match="gone"):
        Whole.model_validate(kept)


def test_a_turn_of_an_earlier_everfit_is_still_told(tmp_path: Path) -> None:
    # Given a turn whose record has fields that were taken out since, and lacks those that have come since
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    window = {"since": "2024-01-01T00:00:00Z", "until": "2024-03-01T00:00:00Z", "timezone": "UTC"}
    snapshot = {"uri": "d", "version": 3, "window": window, "rows": 9, "content_digest": "ab", "format": "delta"}
    turn = ledger.turns.begin("small", Trigger(), Window(until=UNTIL))
    ledger.turns.finish(
        turn, state="NothingNew", reasons=["known"], record={"snapshot": snapshot, "canary": {"rows": 1}}
    )

    [read] = ledger.turns.of("small")

    assert turn_record.turn_json(read)["snapshot"] == {"version": 3, "rows": 9, "digest": "ab"}
    assert "version 3, 9 rows" in turn_record.turn_page(read)


def test_what_a_turn_of_an_earlier_everfit_lacks_is_left_out_of_what_is_told_but_nothing_is_decided_without_it(
    tmp_path: Path,
) -> None:
    # Given a turn whose snapshot was told without its digest, and whose trials were told otherwise
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    version = {"model": "small", "version": 7, "run_id": "r", "trained_until": "2024-02-01T00:00:00Z"}
    window = {"since": "2024-01-01T00:00:00Z", "until": "2024-03-01T00:00:00Z"}
    snapshot = {"uri": "d", "version": 3, "window": window, "rows": 9}
    record = {"snapshot": snapshot, "trials": {"ridge": 0.7}, "evidence": {"metric": "rmse"}, "version": version}
    turn = ledger.turns.begin("small", Trigger(), Window(until=UNTIL))
    ledger.turns.finish(turn, state="ChampionKept", verdict="keep", reasons=["no gain"], record=record)

    [read] = ledger.turns.of("small")
    reported = turn_record.turn_json(read)

    assert (reported["state"], reported["reasons"], reported["mlflow_run_id"]) == ("ChampionKept", ["no gain"], "r")
    assert (reported["snapshot"], reported["candidates"], reported["challenger"]) == (None, [], None)
    assert "no gain" in turn_record.turn_page(read)
    with pytest.raises(LedgerError, match=r"kept as TurnRecord\.\S+ can't be read.*another version of everfit"):
        TurnRecord.recall(read.record)


def test_every_part_of_a_turn_may_be_missing() -> None:
    assert TurnRecord.recall({}) == TurnRecord()


def test_tuning_results_that_were_kept_as_trials_are_still_read(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    setting = {"span": "all", "parameters": {"alpha": 1.0}}
    result = {"candidate": "ridge", "metric": "rmse", "score": 0.7, "seconds": 1.0, "setting": setting, "rows": 9}
    turn = ledger.turns.begin("small", Trigger(), Window(until=UNTIL))
    ledger.turns.finish(turn, state="ChampionKept", record={"trials": [result]})

    [read] = ledger.turns.of("small")

    assert turn_record.turn_json(read)["candidates"] == ["ridge 0.7000"]
    assert TurnRecord.recall(read.record).candidates == TurnRecord.readable(read.record).candidates
    assert [one["candidate"] for one in explain(ledger.story(turn.id))["candidates"]] == ["ridge"]
