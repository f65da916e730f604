"""The champion as it stood at a moment, and what came of the turns behind it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everfit.blocks.errors import DataError, ModelError, NotEnoughError
from everfit.tasks.core.people import Person
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Decision, Ledger, Release, Turn
from everfit.tasks.monitoring import triage_history
from everfit.tasks.monitoring.champion_at import ROLLBACK, ChampionAt, champion_at
from everfit.tasks.monitoring.evidence import attempt
from everfit.tasks.monitoring.triage_history import (
    JudgedWindow,
    history_of,
    newest_judgements,
    read_triages,
    turn_outcomes,
)
from everfit.tasks.release.approval import ApprovalRequest, answer_request, signature_of
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import PreviousSignal
from everfit.tasks.triage.signals import ChampionReference, DriftSignal, Signals

MARCH, WEEK = datetime(2024, 3, 4, tzinfo=UTC), timedelta(days=7)
CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""When all of it is replayed."""


def at(week: int) -> datetime:
    return MARCH + week * WEEK


def turn(week: int, state: str = "Promoted", trigger: str = "") -> Turn:
    return Turn(
        id=f"turn-{week}",
        model="m",
        seq=week + 1,
        trigger=Trigger(kind="quality", id=trigger),
        window=Window(until=at(week)),
        state=state,
        started_at=CLOCK,
    )


def release(seq: int, version: int, turn_id: str | None = None, **more: Any) -> Release:
    facts = {"kind": "promotion", "state": "verified", "run_id": f"run-{version}", "at": CLOCK}
    return Release.model_validate({"model": "m", "seq": seq, "version": version, "turn_id": turn_id} | facts | more)


def of(
    until: datetime, *releases: Release, turns: tuple[Turn, ...] = (), noted: tuple[Decision, ...] = ()
) -> ChampionAt:
    return champion_at(releases, {item.id: item for item in turns}, noted, until)


TURNS = (turn(0), turn(2))
RELEASES = (release(1, 1, "turn-0"), release(2, 2, "turn-2"))


@pytest.mark.parametrize(("week", "version", "previous"), [(1, 1, None), (2, 1, None), (3, 2, 1)])
def test_a_window_is_judged_by_the_champion_of_its_time(week: int, version: int, previous: int | None) -> None:
    result = of(at(week), *RELEASES, turns=TURNS)
    assert (result.version, result.previous_version) == (version, previous)
    assert result.released == at(0 if version == 1 else 2)


def test_a_release_that_was_undone_or_is_not_finished_is_no_champion() -> None:
    assert of(at(3), RELEASES[0], release(2, 2, "turn-2", state="undone"), turns=TURNS).version == 1
    assert of(at(3), RELEASES[0], release(2, 2, "turn-2", state="intent"), turns=TURNS).version == 1


def test_a_release_that_the_services_have_not_confirmed_yet_made_a_champion_all_the_same() -> None:
    back = release(3, 1, kind="rollback", state="alias_set", at=at(3))
    result = of(at(4), *RELEASES, back, turns=TURNS)
    assert (result.version, result.released) == (1, at(3))
    assert of(at(1), release(1, 1, "turn-0", state="alias_set"), turns=TURNS).version == 1


def test_a_rollback_has_its_place_where_triage_decided_it() -> None:
    back = release(3, 1, kind="rollback")
    noted = Decision(id="d", model="m", kind=ROLLBACK, verdict="roll_back", until=at(3), record={"seq": 3}, at=CLOCK)
    before, after = (of(at(week), *RELEASES, back, turns=TURNS, noted=(noted,)) for week in (3, 4))
    assert (before.version, after.version, after.released) == (2, 1, at(3))
    assert after.previous_version is None  # the version that was taken back is none to go back to


def noted_trial(week: int, verdict: str = "release") -> Decision:
    record = {"verdict": verdict, "share": 0, "reasons": ("looked",)}
    known = {"id": f"turn-2/trial/{week}", "model": "m", "kind": "trial", "turn_id": "turn-2", "record": record}
    return Decision(**known, verdict=verdict, until=at(week), at=CLOCK)  # type: ignore[arg-type]


def approved(waited: timedelta) -> Decision:
    request = ApprovalRequest(
        model="m",
        turn_id="turn-2",
        version=2,
        run_id="run-2",
        champion_version=1,
        headline="waits",
        asked_at=CLOCK,
        expires_at=CLOCK + 10 * WEEK,
    )
    record = answer_request(request, "approve", [signature_of(Person(name="ann"), "good")]).model_dump(mode="json")
    known = {"id": "turn-2/approval", "model": "m", "kind": "approval", "turn_id": "turn-2", "record": record}
    return Decision(**known, verdict="approve", at=CLOCK + waited)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("noted", "released"),
    [
        ((noted_trial(3, "grow"), noted_trial(5)), at(5)),
        ((approved(3 * WEEK),), at(5)),
        ((approved(WEEK), noted_trial(5)), at(5)),
        ((approved(-WEEK),), at(2)),  # a clock that was put back
        ((noted_trial(3, "return"),), at(2)),
    ],
)
def test_what_a_trial_or_a_person_released_later_is_the_champion_from_then_on(
    noted: tuple[Decision, ...], released: datetime
) -> None:
    week = (released - MARCH) // WEEK
    before, after = (of(at(week + more), *RELEASES, turns=TURNS, noted=noted) for more in (0, 1))
    assert (before.version, after.version, after.previous_version) == (1, 2, 1)
    assert after.released == released


def test_without_any_champion_there_is_nothing_to_watch() -> None:
    with pytest.raises(ModelError, match="no champion to monitor"):
        of(at(1))


def judged(week: int, *, version: int = 1, gain: float | None = None, released: datetime = MARCH) -> JudgedWindow:
    previous = PreviousSignal() if gain is None else PreviousSignal(status="measured", gain=gain, p_value=0.01)
    signals = Signals(
        model="m",
        window=Window(since=at(week - 1), until=at(week)),
        reference=ChampionReference(version=version, id=f"v{version}-x", released=released, trained_until=released),
        drift=DriftSignal(status="measured", drifted=week % 2 == 0),
        previous=previous,
    )
    return JudgedWindow(signals=signals, decision=triage(signals, History(), TriagePolicy()))


def test_a_window_that_was_judged_twice_counts_once_and_later_ones_not_at_all() -> None:
    entries = [
        Decision(id=f"{n}", model="m", kind=kind, verdict="watch", until=at(week), record=record, at=CLOCK)
        for n, (week, kind, record) in enumerate(
            [
                (1, "triage", judged(1).model_dump(mode="json")),
                (2, "triage", judged(2, version=1).model_dump(mode="json")),
                (2, "triage", judged(2, version=2).model_dump(mode="json") | {"gone": 1}),
                (2, "gate", {}),
                (3, "triage", judged(3).model_dump(mode="json")),
            ]
        )
    ]
    result = newest_judgements(read_triages(entries, at(3)))
    assert [(item.decision.window.until, item.signals.reference.version) for item in result] == [(at(1), 1), (at(2), 2)]
    assert [window.drifted for window in history_of(result, [], at(3)).windows] == [False, True]


def test_the_triage_behind_a_turn_is_known_also_where_its_window_was_judged_again() -> None:
    # Given a window that called for a turn, and was judged anew when more labels had come,
    called, later = judged(2), judged(2, version=2)
    entries = [
        Decision(
            id=f"{n}",
            model="m",
            kind="triage",
            verdict="watch",
            until=at(2),
            record=item.model_dump(mode="json"),
            at=CLOCK,
        )
        for n, item in enumerate([called, later])
    ]
    made = turn(2, "ChampionKept", called.decision.id)

    triages = read_triages(entries, at(4))

    history = history_of(triages, [made], at(4))
    assert [item.signature for item in history.turns] == [called.decision.signature]
    assert [item.reference for item in history.windows] == [later.decision.reference]
    assert [item.decision_id for item in turn_outcomes(triages, [made])] == [called.decision.id]


def test_what_came_of_a_turn_is_known_once_both_champions_were_seen_on_live_rows() -> None:
    called = judged(1)
    made = turn(1, trigger=called.decision.id)
    after = judged(2, version=2, gain=-0.1, released=at(1))

    assert turn_outcomes([called], [made]) == ()
    [found] = turn_outcomes([called, after], [made])
    assert (found.helped, found.gain, found.decision_id) == (True, 0.1, called.decision.id)
    assert "0.1 better" in found.summary
    [worse] = turn_outcomes([called, judged(2, version=2, gain=0.2, released=at(1))], [made])
    assert (worse.helped, worse.gain) == (False, -0.2)

    # A trial or a person may release it weeks after its turn: it is known by its version.
    registered = made.model_copy(update={"record": {"version": {"version": 2}}})
    assert turn_outcomes([called, judged(5, version=2, gain=-0.1, released=at(4))], [registered])[0].gain == 0.1
    assert turn_outcomes([called, judged(5, version=3, gain=-0.1, released=at(1))], [registered]) == ()


@pytest.mark.parametrize(
    ("state", "known"),
    [("ChampionKept", True), ("DataRejected", True), ("running", False), ("AwaitingApproval", False)],
)
def test_a_turn_that_released_nothing_did_not_help_and_one_that_is_open_says_nothing(state: str, known: bool) -> None:
    called = judged(1)
    result = turn_outcomes([called], [turn(1, state, called.decision.id)])
    assert [item.helped for item in result] == [False] * known


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotEnoughError("few"), "not_enough"), (DataError("a broken column"), "failed"), (ValueError("?"), "failed")],
)
def test_only_what_more_rows_would_mend_is_not_enough(error: Exception, status: str) -> None:
    def area() -> DriftSignal:
        raise error

    result = attempt(area, DriftSignal)
    assert (result.status, str(error) in result.reason) == (status, True)


def test_only_the_newest_windows_are_remembered_and_those_behind_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triage_history, "_NEWEST", 3)
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    windows = [judged(week) for week in range(1, 9)]
    for window in windows:
        content = {"kind": "triage", "verdict": window.decision.verdict, "until": window.decision.window.until}
        ledger.decisions.record(window.decision.id, model="m", **content, record=window)

    result = triage_history.triage_entries(
        ledger, "m", [turn(2, trigger=windows[1].decision.id), turn(3, trigger="of another kind")]
    )

    assert [window.decision.window.until for window in read_triages(result, at(9))] == [
        at(2),
        at(6),
        at(7),
        at(8),
    ]


def test_the_turn_that_trained_a_champion_is_not_the_one_that_judged_it_again() -> None:
    version = {"version": 2, "run_id": "run-2"}
    trained = turn(1, state="ChampionKept").model_copy(update={"record": {"version": version}})
    judged = turn(2).model_copy(update={"trigger": Trigger(kind="waiting"), "record": {"version": version}})
    champion = of(at(3), release(1, 2, "turn-2"), turns=(judged,))

    assert champion.turn_among([judged, trained]) == trained
    assert champion.turn_among([judged]) == judged
