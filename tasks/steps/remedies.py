"""Before a full search, the smallest remedy of the champion that is enough is released."""

from typing import Any

from prefect.client.schemas.objects import State

from everfit.blocks.errors import EverfitError
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation import remedies as remedy_room
from everfit.tasks.evaluation.remedy_ladder import EarlierVersion, Patient
from everfit.tasks.gate import GateDecision
from everfit.tasks.registry import model_files, model_registry, registration
from everfit.tasks.steps import gate, incumbent, learning, turns
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.training.results import Choice, Fitted
from everfit.tasks.turns.turn_record import TurnRecord

logger = step_logger("everfit.training")

_MOST_FORMER = 3
"""Former champions that compete, the newest first."""


def judge_remedies(turn: OpenTurn, data: TrainingData) -> State[dict[str, Any]] | None:
    """Release the smallest remedy of the champion that is enough, and end the turn; None if a full search is needed.

    Args:
        turn: The turn, once its snapshot is taken.
        data: The training data.
    """
    challenger = try_remedies(turn, data)
    if challenger is None:
        return None
    evidence = gate.evaluate(turn, data, challenger)
    preview = gate.preview_gate(turn, evidence)
    if preview.verdict == "keep":
        pass_on(turn, preview)
        return None
    fitted = finish_remedy(turn, data, challenger)
    conversion = learning.convert(turn, data, fitted, preview)
    version = learning.register(turn, data, challenger, fitted, conversion)
    evidence = gate.check_serving(turn, data, version, fitted, evidence, conversion)
    gate.apply_gate(turn, evidence)
    turns.track(turn, data)
    return turn.end(*turns.release_challenger(turn))


@step("compute", log="remedies")
def try_remedies(turn: OpenTurn, data: TrainingData) -> Fitted | None:
    """Try the remedies that `retraining.remedies` names on the rows that the champion has not seen.

    Args:
        turn: The turn.
        data: The training data.

    Returns:
        The models of the smallest remedy that seems enough; None where a full search is needed.

    Raises:
        ModelError: The champion can't be loaded.
    """
    spec = turn.context.spec
    patient = _patient(turn) if spec.retraining.tried_remedies else None
    if patient is None:
        return None
    path = data.workspace.turn_file(turn.model, turn.id, "remedy.skops")
    treatment = remedy_room.treat(data, patient, path)
    if treatment is None:
        return None
    turn.keep(remedies=treatment.tried)
    if treatment.challenger is not None:
        turn.keep(fitted=treatment.challenger)
    logger.info("%s", treatment.tried.chosen)
    return treatment.challenger


@step("decision", log="remedies")
def pass_on(turn: OpenTurn, preview: GateDecision) -> None:
    """Record that the gate would keep a remedy out, so that candidates are tried.

    Args:
        turn: The turn.
        preview: As `preview_gate` returned it.
    """
    tried = turn.record.remedies
    assert tried is not None  # noqa: S101 - its remedy was judged
    logger.info("%s was not enough: %s", tried.chosen, preview.reasons[0])
    turn.keep(remedies=tried.model_copy(update={"is_judged": False, "why_not": "it did not pass the gate"}))


@step("compute", log="remedies")
def finish_remedy(turn: OpenTurn, data: TrainingData, challenger: Fitted) -> Fitted:
    """Fit a remedy that is enough on all rows, if the spec's `training.refit` is on.

    Args:
        turn: The turn.
        data: The training data.
        challenger: As `try_remedies` returned it.

    Returns:
        The model that is to be registered.
    """
    fitted, tried = challenger, turn.record.remedies
    if data.spec.training.refit and tried is not None:
        path = data.workspace.turn_file(turn.model, turn.id, "remedied.skops")
        fitted = remedy_room.fit_remedy(data, challenger, tried, path)
        logger.info("%s, with all rows to %s", tried.chosen, f"{data.split.whole.until:%Y-%m-%d %H:%M}")
    turn.keep(refitted=fitted)
    return fitted


def _patient(turn: OpenTurn) -> Patient | None:
    """Return the champion with what may help it; None where a full search is the only remedy.

    That is so without a champion, with one that can't be loaded, and if the spec has changed since it was trained.
    """
    context = turn.context
    if incumbent.why_broken(turn):
        return None
    champion = incumbent.load_incumbent(context, turn.entry)
    origins = _origins(turn)
    origin = None if champion is None else origins.get(champion.version.version)
    if champion is None or origin is None or origin[0] != turn.entry.spec_digest:
        return None
    fitted = origin[1]
    return Patient(
        champion=EarlierVersion(champion.version.version, champion.model, _procedure(fitted), champion.threshold),
        seen=champion.version.trained_until,
        searched_rows=fitted.rows if fitted.remedied is None else fitted.remedied.searched_rows,
        former=_former_champions(turn, champion.version.version, origins),
    )


def _origins(turn: OpenTurn) -> dict[int, tuple[str, Fitted]]:
    """Return for each version the digest of the spec that it was trained by, and how it was fitted."""
    origins = {}
    for one in turn.context.ledger.turns.of(turn.model):
        if one.id == turn.id or one.trigger.kind == "waiting":  # whose version another turn has trained
            continue
        record = TurnRecord.readable(one.record)
        if record.version is not None and record.refitted is not None:
            origins[record.version.version] = (one.spec_digest, record.refitted)
    return origins


def _former_champions(
    turn: OpenTurn, champion: int, origins: dict[int, tuple[str, Fitted]]
) -> tuple[EarlierVersion, ...]:
    """Load the former champions that can still answer, the newest first."""
    context = turn.context
    if "former_champion" not in context.spec.retraining.tried_remedies:
        return ()
    released = [one.version for one in context.ledger.releases.of(turn.model) if one.state != "undone"]
    columns = set(context.workspace.table(turn.model, "dataset").columns())
    loaded: list[EarlierVersion] = []
    for number in dict.fromkeys(reversed(released)):
        if number == champion or number not in origins or len(loaded) == _MOST_FORMER:
            continue
        try:
            version = model_registry.model_version(context.mlflow, turn.model, number)
            model = model_files.load(context.mlflow, context.ledger, version)
        except EverfitError as error:  # upkeep may have deleted it
            logger.info("version %d does not compete: %s", number, error)
            continue
        if set(model.feature_names_in_) <= columns:
            threshold = registration.read_threshold(context.mlflow, version)
            loaded.append(EarlierVersion(number, model, _procedure(origins[number][1]), threshold))
    return tuple(loaded)


def _procedure(fitted: Fitted) -> Choice:
    return Choice(candidate=fitted.candidate, setting=fitted.setting)
