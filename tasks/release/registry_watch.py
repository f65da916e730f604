"""Watch MLflow for changes that everfit did not make: a moved alias, a deleted version, run or experiment."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.event_names import RELEASE_PROMOTED
from everfit.tasks.core.events import emit
from everfit.tasks.core.records import Record
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.recording import follow_up
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.release import approvals, release_protocol
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.release")

SUBJECT = "registry"
"""The subject of the incidents about what is gone from MLflow."""
_DELETED = "deleted"
_BY_HAND = "outside of everfit"


class RegistrySight(Record):
    """The content of MLflow about a model.

    Attributes:
        champion: The version and the run that the champion alias names.
        gone: Deleted things that the ledger needs, in words.
    """

    champion: tuple[int, str] | None = None
    gone: tuple[str, ...] = ()


def read_sight(context: Context) -> RegistrySight:
    """Read from MLflow what it has of a model: five requests.

    Args:
        context: The model.
    """
    name, client = context.spec.name, context.mlflow
    champion = model_registry.champion(client, name)
    current, gone = context.ledger.releases.current(name), []
    if current is not None:
        if current.version not in model_registry.versions(client, name):
            gone.append(f"version {current.version} was deleted")
        if current.run_id and _run_is_deleted(context, current.run_id):
            gone.append(f"the run {current.run_id} of version {current.version} was deleted")
    for experiment in tracking.experiments_of(name):
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage == _DELETED:
            gone.append(f"the experiment {experiment!r} was deleted")
    alias = None if champion is None else (champion.version, champion.run_id)
    return RegistrySight(champion=alias, gone=tuple(gone))


def follow_registry(
    context: Context, before: RegistrySight | None = None, *, announce: bool = True
) -> tuple[RegistrySight, list[str]]:
    """Look at MLflow, repair or record what changed, and notify people of what is gone.

    Args:
        context: The model.
        before: The sight of the look before; if nothing differs from it, nothing is done.
        announce: Whether a Prefect server is notified of a new champion.

    Returns:
        The sight, and a sentence for each change.

    Raises:
        EverfitError: The change can't be repaired, such as where no service answers with the former champion. People
            are notified of the change all the same.
    """
    sight = read_sight(context)
    name, ledger = context.spec.name, context.ledger
    done: list[str] = []
    if ledger.releases.unfinished(name) is None and not release_protocol.is_settled(ledger, context.mlflow, name):
        known = ledger.releases.current(name)
        try:
            done = approvals.reconcile(context, datetime.now(UTC))
        except EverfitError as error:
            # The next look finds settled what was recorded before the failure, and would notify nobody of it.
            if (made := ledger.releases.current(name)) is not None and made != known:
                notify_of_registry(context, sight, [f"{made.reason}; {error}"])
            raise
        current = ledger.releases.current(name)
        if announce and current is not None and (known is None or current.seq != known.seq):
            emit(RELEASE_PROMOTED, name, release=current)
    if done or sight != before:
        notify_of_registry(context, sight, done)
    return sight, done


def notify_of_registry(context: Context, sight: RegistrySight, done: Sequence[str]) -> None:
    """Open, update or close the incident of the registry.

    Args:
        context: The model.
        sight: The content of MLflow.
        done: A sentence for each repair.
    """
    now = datetime.now(UTC)
    changed = [action for action in done if _BY_HAND in action]
    alert = registry_alert(context.spec.name, sight, changed)
    follow_up(context, SUBJECT, alert, key=now.isoformat(), at=now)
    for sentence in (*done, *(f"{gone} {_BY_HAND}" for gone in sight.gone)):
        logger.warning("%s: %s", context.spec.name, sentence)


def registry_alert(model: str, sight: RegistrySight, done: Sequence[str] = ()) -> Alert | None:
    """Return the alert about what is gone from MLflow or was changed there; None if all is as the ledger has it. Pure.

    Args:
        model: The name of the model.
        sight: The content of MLflow.
        done: A sentence for each repair because of it.
    """
    if not sight.gone and not done:
        return None
    what = (
        "something that the model needs was deleted in MLflow" if sight.gone else "the champion was changed in MLflow"
    )
    advice = "Restore a run or an experiment by `mlflow runs restore` or `mlflow experiments restore`."
    if not sight.gone:
        advice = "If it was meant, nothing is to do; else `everfit rollback` makes the former version the champion."
    return Alert(
        subject=SUBJECT,
        severity="warning",
        what=what,
        signature=" ".join(sight.gone or done),
        why=(*(f"{gone} {_BY_HAND}" for gone in sight.gone), *done),
        advice=advice,
        command=f"everfit history {model}",
    )


def watch_registry(contexts: Sequence[Context], pause: Callable[[], bool], *, announce: bool = True) -> None:
    """Look at MLflow again and again, until the pause says that it is over.

    Args:
        contexts: The models.
        pause: Waits until the next look; returns whether it is over.
        announce: Whether a Prefect server is notified of new champions.
    """
    before: dict[str, RegistrySight] = {}
    failing: set[str] = set()
    while True:
        for context in contexts:
            name = context.spec.name
            try:
                before[name], _ = follow_registry(context, before.get(name), announce=announce)
            except Exception as error:  # noqa: BLE001 - MLflow may be down for a while; the watch goes on
                if name not in failing:
                    logger.error("MLflow can't be looked at for %s: %s; trying again", name, error)
                failing.add(name)
                continue
            if name in failing:
                failing.discard(name)
                logger.warning("MLflow can be looked at for %s again", name)
        if pause():
            return


def _run_is_deleted(context: Context, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(context.mlflow.get_run(run_id).info.lifecycle_stage == _DELETED)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return True
        raise
