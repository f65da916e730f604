"""Whole streams, window by window, with a model that is trained, gated and released as triage says.

Counted: retrainings where nothing is to be won, and windows until a real loss is acted on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.admission import TurnRequest, admit
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History, PastTurn, PastWindow
from everfit.tasks.triage.quality_signals import Baseline, PreviousSignal, QualitySignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, LabelsSignal, Signals

Floats = npt.NDArray[np.float64]
WEEK = timedelta(days=7)
START = datetime(2015, 1, 5, tzinfo=UTC)
COLUMNS = 8
WEIGHTS = np.array([1.2, -0.8, 0.6, 0.4, 0.0, 0.0, 0.0, 0.0])
HOLDOUT = 1
SPANS = (30, 8, 2)
"""Of windows that candidates are trained on."""


@dataclass
class Stream:
    """A world that makes windows of rows, and the loop that runs on them."""

    seed: int
    windows: int
    rows: int = 1_000
    weights: Callable[[int], Floats] = lambda _: WEIGHTS
    means: Callable[[int], Floats] = lambda _: np.zeros(COLUMNS)
    skipped: frozenset[int] = frozenset()
    policy: TriagePolicy = field(default_factory=lambda: TriagePolicy(retraining=RetrainingPolicy(cadence="never")))
    turns: list[PastTurn] = field(default_factory=list)
    seen: list[PastWindow] = field(default_factory=list)
    decisions: dict[int, TriageDecision] = field(default_factory=dict)
    live: dict[int, float] = field(default_factory=dict)

    def run(self) -> "Stream":
        rng = np.random.default_rng(self.seed)
        data: dict[int, tuple[Floats, Floats]] = {}
        model, reference, baseline, previous = np.zeros(COLUMNS), None, None, None
        for number in range(self.windows):
            if number in self.skipped:
                continue
            x = rng.normal(size=(self.rows, COLUMNS)) + self.means(number)
            y = (rng.random(self.rows) < _sigmoid(x @ self.weights(number))).astype(np.float64)
            data[number] = x, y
            if number < 6:
                continue
            if reference is None or baseline is None:
                fitted, baseline = self._train(data)
                model, reference = fitted, self._reference(number, 1, None)
                continue
            decision = self._monitor(number, data[number], model, previous, reference, baseline)
            if decision.verdict == "roll_back" and previous is not None:
                model, previous = previous, None
                reference = self._reference(number, reference.version + 1, None)
            if decision.verdict != "retrain":
                continue
            until = START + (number + 1) * WEEK
            if not admit(TurnRequest.of(decision), self.turns, until, self.policy.retraining).admitted:
                continue
            fitted, fresh = self._train(data)
            better = self._gate(data, fitted, model)
            self.turns.append(
                PastTurn(
                    turn_id=f"turn-{number}",
                    until=until,
                    kind=decision.kind or "manual",
                    signature=decision.signature,
                    reference=reference.id,
                    outcome="promoted" if better else "kept",
                    loss=decision.loss.loss if decision.loss else None,
                    loss_rows=decision.loss.rows if decision.loss else None,
                    unseen_rows=decision.unseen_rows,
                    version=reference.version + 1,
                    level=decision.level,
                )
            )
            if better:
                previous, model, baseline = model, fitted, fresh
                reference = self._reference(number, reference.version + 1, reference.version)
        return self

    def _monitor(
        self,
        number: int,
        rows: tuple[Floats, Floats],
        model: Floats,
        previous: Floats | None,
        reference: ChampionReference,
        baseline: Baseline,
    ) -> TriageDecision:
        x, y = rows
        window = Window(since=START + number * WEEK, until=START + (number + 1) * WEEK)
        result = realised(y, _sigmoid(x @ model), "roc_auc")
        self.live[number] = result.value
        moved = np.abs(self.means(number)) > 0.3
        earlier: dict[str, Any] = {}
        if previous is not None:
            paired = compare(y, _sigmoid(x @ previous), _sigmoid(x @ model), "roc_auc")
            earlier = {"status": "measured", "gain": paired.difference, "p_value": paired.p_value, "rows": y.size}
        signals = Signals(
            model="stream",
            window=window,
            reference=reference,
            data=DataSignal(status="measured", rows=y.size, expected_rows=self.rows),
            drift=DriftSignal(
                status="measured",
                drifted=bool(moved.mean() >= 0.3),
                columns=tuple(f"x{i}" for i in np.flatnonzero(moved)),
            ),
            quality=QualitySignal(
                status="measured",
                metric="roc_auc",
                window=window,
                rows=y.size,
                value=result.value,
                standard_error=result.standard_error,
                chance=result.chance,
                baseline=baseline,
            ),
            previous=PreviousSignal(**earlier),
            labels=self._labels(number, reference),
        )
        # A caller hands over what triage can use: the newest windows.
        decision = triage(signals, History(windows=tuple(self.seen[-20:]), turns=tuple(self.turns)), self.policy)
        self.seen.append(decision.remembered)
        self.decisions[number] = decision
        return decision

    def _labels(self, number: int, reference: ChampionReference) -> LabelsSignal:
        """Count the rows since the champion was trained, and since the last turn."""
        until = START + (number + 1) * WEEK
        learned = max([reference.trained_until, *(turn.until for turn in self.turns)])
        unseen, new = (round((until - since) / WEEK) * self.rows for since in (reference.trained_until, learned))
        span = Window(since=reference.trained_until, until=until)
        return LabelsSignal(status="measured", new_rows=new, unseen_rows=unseen, unseen=span)

    @staticmethod
    def _train(data: dict[int, tuple[Floats, Floats]]) -> tuple[Floats, Baseline]:
        """Fit on what came before the hold-out, and measure on the hold-out."""
        numbers = sorted(data)
        x, y = _join(data, numbers[-HOLDOUT:])
        fitted = {span: _fit(*_join(data, numbers[:-HOLDOUT][-span:])) for span in SPANS}
        areas = {span: metric("roc_auc").score(y, _sigmoid(x @ weights)) for span, weights in fitted.items()}
        best = max(areas, key=lambda span: areas[span])
        return fitted[best], realised(y, _sigmoid(x @ fitted[best]), "roc_auc").baseline()

    @staticmethod
    def _gate(data: dict[int, tuple[Floats, Floats]], challenger: Floats, champion: Floats) -> bool:
        x, y = _join(data, sorted(data)[-HOLDOUT:])
        return compare(y, _sigmoid(x @ challenger), _sigmoid(x @ champion), "roc_auc").lower > 0

    @staticmethod
    def _reference(number: int, version: int, previous: int | None) -> ChampionReference:
        until = START + (number + 1) * WEEK
        return ChampionReference(
            version=version,
            id=f"reference-{version}",
            released=until,
            trained_until=until - HOLDOUT * WEEK,
            previous_version=previous,
        )

    @property
    def retrained(self) -> list[int]:
        """The windows whose decision was carried out as a turn."""
        return [int(turn.turn_id.removeprefix("turn-")) for turn in self.turns]

    def verdicts(self) -> set[str]:
        return {decision.verdict for decision in self.decisions.values()}


def _join(data: dict[int, tuple[Floats, Floats]], numbers: list[int]) -> tuple[Floats, Floats]:
    return np.concatenate([data[n][0] for n in numbers]), np.concatenate([data[n][1] for n in numbers])


def _fit(x: Floats, y: Floats) -> Floats:
    """Logistic regression by Newton's method."""
    weights = np.zeros(COLUMNS)
    for _ in range(6):
        p = _sigmoid(x @ weights)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(COLUMNS)
        weights += np.linalg.solve(hessian, x.T @ (y - p) - weights)
    return weights


def _sigmoid(values: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-values))
    return result


@pytest.mark.slow
@pytest.mark.parametrize("rows", [300, 1_000])
def test_nothing_happens_for_years_and_nothing_is_retrained(rows: int) -> None:
    streams = [Stream(seed, windows=157, rows=rows).run() for seed in range(5)]
    print(f"needless retrainings at {rows} rows a window:", [len(stream.turns) for stream in streams])
    assert sum(len(stream.turns) for stream in streams) == 0
    assert all("roll_back" not in stream.verdicts() for stream in streams)


@pytest.mark.slow
def test_six_columns_jump_and_a_perfect_model_is_watched_but_never_retrained() -> None:
    # Given columns that jump for good, six of eight, of which the model uses two and uses them rightly,
    jump = np.array([0.0, 0.0, 0.6, 0.6, 3.0, 3.0, 3.0, 3.0])
    streams = [Stream(s, 60, means=lambda n: jump * (n >= 20)).run() for s in range(3)]
    for stream in streams:
        assert stream.retrained == []
        assert "watch" in stream.verdicts()


@pytest.mark.slow
def test_a_flipped_concept_is_acted_on_in_its_first_window_though_inputs_stay() -> None:
    streams = [Stream(s, 60, weights=lambda n: WEIGHTS if n < 30 else -WEIGHTS).run() for s in range(5)]
    delays = [stream.retrained[0] - 30 + 1 for stream in streams]
    print("windows until a flip is acted on:", delays)
    assert delays == [1] * 5
    for stream in streams:
        assert np.mean([stream.live[n] for n in range(40, 60)]) > 0.8  # and it was won back
        assert len(stream.turns) <= 4


@pytest.mark.slow
def test_a_concept_that_keeps_moving_is_followed() -> None:
    def moving(number: int) -> Floats:
        return np.roll(WEIGHTS, 2 * (number // 25))

    streams = [Stream(s, 130, weights=moving, policy=TriagePolicy()).run() for s in range(3)]
    for stream in streams:
        moves = [25, 50, 75, 100, 125]
        delays = [min(n for n in stream.retrained if n >= move) - move + 1 for move in moves]
        print("windows until each move is acted on:", delays, "turns:", stream.retrained)
        assert delays == [1] * len(moves)
        assert len(stream.turns) <= 10 * len(moves)
        settled = [stream.live[n] for n in range(35, 125) if n % 25 >= 10]
        assert min(settled) > 0.75  # all of what was lost is won back, not just some of it


@pytest.mark.slow
def test_a_quiet_world_is_tried_ever_more_rarely() -> None:
    streams = [Stream(s, 135, policy=TriagePolicy()).run() for s in range(3)]
    for stream in streams:
        print("tried at:", stream.retrained, [turn.outcome for turn in stream.turns])
        assert len(stream.turns) <= 15


def test_a_gap_of_300_days_is_no_loss() -> None:
    item = Stream(3, 110, skipped=frozenset(range(40, 83))).run()
    assert item.retrained == []


def test_a_loss_that_no_training_can_win_back_ends_with_a_person() -> None:
    # Given labels that turn into noise, so that there is nothing to learn,
    item = Stream(0, 80, weights=lambda n: WEIGHTS if n < 20 else WEIGHTS * 0.15).run()
    # then it is tried a few times, ever more rarely, and then a person is asked, once.
    in_vain = [turn for turn in item.turns if turn.outcome == "kept"]
    assert [after - before for before, after in pairwise(item.retrained)] == [1, 2, 4, 8, 16]
    assert len(in_vain) == 6
    assert item.decisions[79].verdict == "escalate"
    reported = [number for number, decision in item.decisions.items() if decision.notify]
    assert reported[0] == 24
    assert len(reported) <= 4


def test_the_streams_measure_what_they_say() -> None:
    item = Stream(0, 10).run()
    assert metric("roc_auc").score([0, 1], [0.1, 0.9]) == 1
    assert all(0.7 < value < 0.95 for value in item.live.values())
