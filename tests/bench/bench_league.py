"""The league of policies: when to retrain and what to release, everfit against simple rules and hindsight.

Each world is lived through window by window. everfit decides by the spec that `everfit init` writes, with the code that
its flows call: triage says when, the turn's steps say what. The other policies fit gradient boosting or a linear model,
whichever validates better in the first window, on all rows or on the newest quarter: never again, at a fixed cadence,
or at an alarm of a CUSUM; the best of each kind is shown. Hindsight knows all windows beforehand, and picks the fits
that cost least. Cost = lost quality (1 - AUC, or RMSE over the label's deviation) of all windows + price x turns.

`bench_league.py NAME …` runs the worlds whose names begin so, and `--remedies` first tries smaller remedies.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.deployments.init.init import init
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.core.spec_loading import read_spec
from everfit.tasks.data.commit import take_snapshot
from everfit.tasks.data.cut import cut
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.evaluation.remedies import Treatment, fit_remedy, treat
from everfit.tasks.evaluation.remedy_ladder import EarlierVersion, Patient
from everfit.tasks.gate import Evidence, decide
from everfit.tasks.gate.checks.comparison import growth_to_show
from everfit.tasks.gate.earlier_gains import earlier_gains
from everfit.tasks.gate.earlier_releases import EarlierRelease, release_odds
from everfit.tasks.monitoring.holdout import baseline_of, holdout_answers
from everfit.tasks.monitoring.reference import make_reference
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.rehearsal.policies import CADENCES, Floats, Plan, cadence, cusum, hindsight, never
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.scores import model_scores
from everfit.tasks.storage.row_hashes import row_hashes, row_keys
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.prequential import fit_prequentially
from everfit.tasks.training.results import Choice, Fitted, read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on, ranked, try_candidate
from everfit.tasks.triage import triage
from everfit.tasks.triage.admission import TurnRequest, admit
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History, PastTurn
from everfit.tasks.triage.quality_signals import Baseline, QualitySignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, LabelsSignal, Signals

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.worlds import PAST, WORLDS, World

PRICES = (0.0, 0.005, 0.02)
"""Of a turn, in lost quality on one window."""
PASSED = Validation(passed=True, rows=1, bad_rows=0, outcomes=(), reasons=(), suite_inferred=False)


@dataclass
class Life:
    """everfit in a world, without flows around its decisions.

    Attributes:
        world: The world.
        folder: Where the dataset and the spec are.
        turns: All turns that were tried.
        judged: The evidence of each comparison so far.
        releases: Window before which a champion was released, the champion before, and the new one.
        former: What earlier champions were fitted with.
        champion: The model in service.
        baseline: Its quality on its hold-out.
        history: The windows that triage has judged.
        first: The candidate that was best at first.
        remedies: Whether smaller remedies are tried before a search.
        remedied: Those that were released.
        searched_rows: Rows that the settings were last searched on.
    """

    world: World
    folder: Path
    turns: list[PastTurn] = field(default_factory=list)
    judged: list[dict[str, Any]] = field(default_factory=list)
    releases: list[tuple[int, Incumbent | None, Incumbent]] = field(default_factory=list)
    former: list[Choice] = field(default_factory=list)
    champion: Incumbent | None = None
    baseline: Baseline | None = None
    history: History = field(default_factory=History)
    first: str = ""
    remedies: bool = False
    remedied: list[str] = field(default_factory=list)
    searched_rows: int = 0

    def __post_init__(self) -> None:
        past = pd.concat([self.world.make(number) for number in range(-PAST, 0)], ignore_index=True)
        self.folder.mkdir(parents=True)
        past.to_parquet(self.folder / "past.parquet")
        path = self.folder / "spec.yaml"
        init(str(self.folder / "past.parquet"), "y", name="m", output=path)
        spec: ModelSpec = read_spec(path.read_text(encoding="utf-8"), str(path))
        retraining = spec.retraining.model_copy(update={"remedies": self.remedies})
        self.spec = spec.model_copy(update={"retraining": retraining})
        self.workspace = Workspace(str(self.folder / "workspace"))
        self.rows: dict[int, pd.DataFrame] = {}
        self.add(-1, past)

    def add(self, number: int, rows: pd.DataFrame) -> None:
        """Take rows into the dataset."""
        self.rows[number] = rows
        keys = {KEY: row_keys(rows, self.spec.columns.key), CONTENT: row_hashes(rows, list(rows.columns))}
        frame = rows.assign(**keys, **{DAY: rows["at"].dt.date, TURN: "t"})
        self.workspace.table("m", "dataset").append(frame, str(number))

    def turn(self, until: datetime, number: int, signature: str = "", kind: str = "manual") -> str:
        """Try a turn, and return the gate's verdict."""
        spec, seen = self.spec, self.champion.version.trained_until if self.champion else None
        split = cut(spec, self.workspace.table("m", "dataset"), until, seen)
        data = TrainingData(spec, take_snapshot(spec, split.whole, self.workspace), split, until, self.workspace)
        name = f"t{len(self.turns)}"
        tries = [turn for turn in self.turns if turn.reference == self._reference]
        treatment = self._treated(data, name) if self.remedies and self.champion else None
        challenger = None if treatment is None else treatment.challenger
        remedies = None if treatment is None else treatment.tried
        if challenger is not None:
            evidence = self._evidence(data, challenger, 1 + len(tries), until)
            decision = decide(evidence.model_copy(update={"remedies": remedies}), spec.gate)
            if decision.verdict != "promote":
                challenger, remedies = None, remedies and remedies.model_copy(update={"is_judged": False})
        is_remedy = challenger is not None
        if challenger is None:
            results = [try_candidate(data, one) for one in spec.training.candidates_for(spec.task)]
            self.first = self.first or ranked(results)[0].candidate
            challenger = fit_prequentially(data, results, self.workspace.turn_file("m", name, "c.skops"), self.former)
            evidence = self._evidence(data, challenger, 1 + len(tries), until)
            decision = decide(evidence.model_copy(update={"remedies": remedies}), spec.gate)
        promoted = decision.verdict == "promote"
        self.turns.append(
            PastTurn.model_validate(
                {
                    "turn_id": name,
                    "until": until,
                    "kind": kind,
                    "signature": signature,
                    "reference": self._reference,
                    "outcome": "promoted" if promoted else "kept",
                    "growth_to_show": self._growth_to_show(evidence),
                }
            )
        )
        if promoted:
            choice = challenger.choice
            path = self.workspace.turn_file("m", name, "r.skops")
            if is_remedy and remedies is not None:
                fitted = fit_remedy(data, challenger, remedies, path)
                self.remedied.append(remedies.chosen)
            else:
                fitted = fit_on(data, choice.candidate, split.whole, path, choice.setting)
                self.searched_rows = fitted.rows
            version = ModelVersion(model="m", version=len(self.turns), run_id="r", trained_until=split.whole.until)
            before, self.champion = self.champion, Incumbent(version, read_model(fitted, self.workspace))
            self.releases.append((number, before, self.champion))
            self.former.insert(0, Choice(candidate=fitted.candidate, setting=fitted.setting))
            reference = make_reference(data, challenger, fitted, evidence.holdout)
            self.baseline = baseline_of(holdout_answers(reference.sample, spec, reference.classes or ()), spec)
        return decision.verdict

    def _growth_to_show(self, evidence: Evidence) -> float | None:
        paired, policy = evidence.comparison, self.spec.gate
        if paired is None:
            return None
        bound = policy.min_gain if policy.margin is None else -policy.margin
        return growth_to_show(paired, bound, evidence.attempt, release_odds(evidence.earlier_releases))

    def _evidence(self, data: TrainingData, challenger: Fitted, attempt: int, until: datetime) -> Evidence:
        seen = None if self.champion is None else self.champion.version.trained_until
        earlier = () if seen is None else earlier_gains(self.judged, seen)
        evidence = evaluate(data, challenger, self.champion, PASSED, attempt, earlier=earlier)
        self.judged.append(evidence.model_dump(mode="json"))
        return evidence.model_copy(update={"earlier_releases": tuple(self._earlier_releases(until))})

    def _earlier_releases(self, until: datetime) -> Iterator[EarlierRelease]:
        """Judge each release by the first rows with labels that came after it."""
        spec, known = (
            self.spec,
            pd.concat([rows for place, rows in self.rows.items() if place >= 0] or [pd.DataFrame()]),
        )
        if known.empty:
            return
        known = known[(known["at"] < until - spec.maturity) & (known["known_at"] <= until)].sort_values("at")
        for _, before, after in self.releases:
            rows = known[known["at"] >= after.version.trained_until + spec.maturity]
            rows = rows[rows["at"] < rows["at"].min() + spec.monitoring.window]
            if before is None or len(rows) < spec.monitoring.min_labels:
                continue
            scores, y = [self.scores(one, rows) for one in (before, after)], rows["y"].to_numpy(dtype=float)
            days = pd.factorize(rows["at"].dt.date)[0]
            paired = compare(y, scores[0], scores[1], spec.metric, clusters=days)
            chance = 1 - paired.p_value
            yield EarlierRelease(version=after.version.version, gain=-paired.difference, chance=chance)

    def _treated(self, data: TrainingData, name: str) -> Treatment | None:
        """Try smaller remedies of the champion, former champions among them."""
        released = [one for _, _, one in self.releases]
        versions = [
            EarlierVersion(one.version.version, one.model, choice)
            for one, choice in zip(released[::-1], self.former, strict=True)
        ]
        seen = released[-1].version.trained_until
        patient = Patient(versions[0], seen, self.searched_rows, tuple(versions[1:4]))
        return treat(data, patient, self.workspace.turn_file("m", name, "remedy.skops"))

    @property
    def _reference(self) -> str:
        return str(self.champion.version.version) if self.champion else ""

    def scores(self, who: Incumbent, rows: pd.DataFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Return what a model says of rows."""
        classes: list[object] = [] if self.world.regression else [0, 1]
        return model_scores(who.model, rows[list(who.model.feature_names_in_)], classes, self.spec.task)

    def look(self, number: int) -> None:
        """Measure the window that ends now, and try a turn if triage says so."""
        assert self.champion is not None
        spec, until = self.spec, self.world.window(number)[1]
        mature = until - self.spec.maturity
        length = self.spec.monitoring.window
        everything = pd.concat([rows for place, rows in self.rows.items() if place >= 0], ignore_index=True)
        known = everything[(everything["at"] < mature) & (everything["known_at"] <= until)]
        unseen = known[known["at"] >= self.champion.version.trained_until]
        last = max((turn.until - self.spec.maturity for turn in self.turns), default=mature)
        window = Window(since=max(mature - length, self.champion.version.trained_until), until=mature)
        inside = known[known["at"] >= window.since]
        while len(inside) < self.spec.monitoring.min_labels and len(inside) < len(unseen):
            window = Window(since=max(window.since - length, self.champion.version.trained_until), until=mature)
            inside = known[known["at"] >= window.since]
        signals = Signals(
            model="m",
            window=Window(since=until - length, until=until),
            reference=ChampionReference(
                version=self.champion.version.version,
                id=self._reference,
                released=self.champion.version.trained_until,
                trained_until=self.champion.version.trained_until,
            ),
            data=DataSignal(status="measured", rows=len(self.rows[number])),
            drift=DriftSignal(status="measured", drifted=False),
            quality=self._quality(inside, window),
            labels=LabelsSignal(
                status="measured",
                new_rows=int((known["at"] >= last).sum()),
                unseen_rows=len(unseen),
                rarest_rows=None
                if spec.task == "regression" or unseen.empty
                else int(unseen["y"].value_counts().min()),
                unseen=Window(since=self.champion.version.trained_until, until=mature),
            ),
        )
        policy = TriagePolicy(
            monitoring=spec.monitoring,
            retraining=spec.retraining,
            gate_rows=spec.gate.min_rows,
            gate_class_rows=spec.gate.min_class_rows,
        )
        decision = triage(signals, self.history.model_copy(update={"turns": tuple(self.turns)}), policy)
        windows = (*self.history.windows, decision.remembered)
        self.history = History(windows=windows)
        if decision.verdict != "retrain":
            return
        if admit(TurnRequest.of(decision), self.turns, until, spec.retraining).admitted:
            self.turn(until, number, decision.signature, decision.kind or "manual")

    def _quality(self, rows: pd.DataFrame, window: Window) -> QualitySignal:
        if len(rows) < self.spec.monitoring.min_labels:
            return QualitySignal(status="not_enough")
        assert self.champion is not None
        found = realised(rows["y"].to_numpy(dtype=float), self.scores(self.champion, rows), self.spec.metric)
        return QualitySignal(
            status="measured",
            metric=self.spec.metric,
            window=window,
            rows=len(rows),
            value=found.value,
            standard_error=found.standard_error,
            chance=found.chance,
            baseline=self.baseline,
        )

    def loss(self, scores: Floats, rows: pd.DataFrame) -> float:
        """Return the lost quality on rows: 1 - AUC, or RMSE over the deviation of all labels so far."""
        if self.world.regression:
            return float(metric("rmse").score(rows["y"], scores) / self.rows[-1]["y"].std())
        return 1 - float(metric("roc_auc").score(rows["y"], scores))


def live(world: World, folder: Path, *, remedies: bool = False) -> tuple[Life, Plan]:
    """Live through a world as everfit does."""
    life, losses = Life(world, folder, remedies=remedies), list[float]()
    if life.turn(world.window(0)[0], 0) != "promote":
        raise RuntimeError("the first turn released nothing")
    for number in range(world.windows):
        rows = world.make(number)
        assert life.champion is not None
        losses.append(life.loss(life.scores(life.champion, rows), rows))
        life.add(number, rows)
        life.look(number)
    return life, Plan(np.array(losses), tuple(range(len(life.turns))), ())


def plain_fits(life: Life, quarter: bool) -> Floats:
    """Return the loss in each window of the model fitted before each window; shape (windows, windows)."""
    world, spec = life.world, life.spec
    everything = pd.concat(life.rows.values(), ignore_index=True)
    features = list(spec.columns.features or [name for name in everything if str(name).startswith("x")])
    matrix = np.full((world.windows, world.windows), np.nan)
    for origin in range(world.windows):
        until = world.window(origin)[0]
        known = everything[(everything["at"] < until - spec.maturity) & (everything["known_at"] <= until)]
        rows = known.iloc[-len(known) // 4 :] if quarter else known
        model = fit(spec, features, life.first, Setting(), rows)
        for window in range(origin, world.windows):
            scored = life.rows[window]
            classes: list[object] = [] if world.regression else [0, 1]
            matrix[origin, window] = life.loss(model_scores(model, scored[features], classes, spec.task), scored)
    return matrix


def wrong_releases(life: Life) -> int:
    """Count the releases of a challenger that was no better in the windows until the next release."""
    wrong, ends = 0, [number for number, _, _ in life.releases[1:]] + [life.world.windows - 1]
    for (number, before, after), end in zip(life.releases, ends, strict=True):
        if before is None or number + 1 > end:
            continue
        rows = pd.concat([life.rows[window] for window in range(number + 1, end + 1)])
        wrong += life.loss(life.scores(after, rows), rows) >= life.loss(life.scores(before, rows), rows)
    return wrong


def compete(name: str, world: World, folder: Path, *, remedies: bool = False) -> dict[str, object]:
    """Let the policies compete in a world."""
    life, everfit = live(world, folder, remedies=remedies)
    matrices = [plain_fits(life, quarter) for quarter in (False, True)]
    best_of_both = np.fmin(*matrices)
    reference = float(np.mean([matrices[0][0, 0], matrices[0][0, 1]]))
    costs: dict[str, dict[str, float]] = {}
    for price in PRICES:
        simple = {
            "never": never(matrices[0]),
            "each window": min((cadence(one, 1) for one in matrices), key=lambda plan: plan.cost(price)),
            "best cadence": min(
                (cadence(one, every) for one in matrices for every in CADENCES), key=lambda plan: plan.cost(price)
            ),
            "CUSUM": min((cusum(one, reference) for one in matrices), key=lambda plan: plan.cost(price)),
        }
        found = {kind: plan.cost(price) for kind, plan in simple.items()}
        best = min(found.values())
        found |= {"everfit": everfit.cost(price), "hindsight": hindsight(best_of_both, price).cost(price)}
        found |= {
            "everfit / best simple": everfit.cost(price) / best,
            "everfit / hindsight": everfit.cost(price) / found["hindsight"],
        }
        costs[f"{price:g}"] = {kind: round(value, 3) for kind, value in found.items()}
    released = len(life.releases) - 1
    return {
        "world": name,
        "cost by price of a turn": costs,
        "turns": everfit.turns,
        "released": released,
        "wrong": wrong_releases(life),
        "remedies": life.remedied,
    }


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="everfit-league-") as place:
        remedies = "--remedies" in names
        names = [name for name in names if name != "--remedies"]
        chosen = [name for name in WORLDS if not names or name.startswith(tuple(names))]
        for number, name in enumerate(chosen):
            began = time.perf_counter()
            found = compete(name, WORLDS[name], Path(place) / str(number), remedies=remedies)
            print(json.dumps(found | {"seconds": round(time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
