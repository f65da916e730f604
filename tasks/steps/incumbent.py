"""The champion that a turn's challenger is compared with: the champion as it was before the turn."""

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.ledger import Release, Turn
from everfit.tasks.registry import model_files, model_registry, registration
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.turns.context import Context


def incumbent_version(context: Context, turn: Turn) -> ModelVersion | None:
    """Return the version of the champion before a turn; None before the first champion.

    Args:
        context: The model's context.
        turn: The turn, which may have released its own challenger already and been killed.
    """
    entry = _release_before(context, turn)
    return None if entry is None else model_registry.model_version(context.mlflow, context.spec.name, entry.version)


def load_incumbent(context: Context, turn: Turn) -> Incumbent | None:
    """Load the champion as it was before a turn; None before the first champion.

    Args:
        context: The model's context.
        turn: The turn.

    Raises:
        ModelError: The champion can't be loaded.
    """
    version = incumbent_version(context, turn)
    if version is None:
        return None
    threshold = registration.read_threshold(context.mlflow, version)
    return Incumbent(version, model_files.load(context.mlflow, context.ledger, version), threshold)


def why_broken(turn: OpenTurn) -> str:
    """Return why the champion can't be loaded, if the turn may replace it then; otherwise an empty text.

    Args:
        turn: The turn.
    """
    if not turn.record.replace_broken_champion:
        return ""
    try:
        load_incumbent(turn.context, turn.entry)
    except ModelError as error:
        return str(error)
    return ""


def attempt(context: Context, turn: Turn, version: ModelVersion) -> int:
    """Return how often challengers have been compared with a champion, this turn included.

    Args:
        context: The model's context.
        turn: The turn.
        version: The champion's version.
    """
    earlier = {
        decision.turn_id
        for decision in context.ledger.decisions.of(context.spec.name, kind="gate")
        if (decision.record.get("evidence") or {}).get("champion_version") == version.version
    }
    return 1 + len(earlier - {turn.id, None})


def _release_before(context: Context, turn: Turn) -> Release | None:
    own = context.ledger.releases.of_turn(turn.id)
    if own is None:
        return context.ledger.releases.current(context.spec.name)
    earlier = [entry for entry in context.ledger.releases.of(context.spec.name) if entry.seq < own.seq]
    # One whose alias was set was the champion, whether or not a service was ever seen to serve it.
    return next((entry for entry in reversed(earlier) if entry.state != "undone"), None)
