"""The evidence area `code`: changes of spec, packages and own code since the champion was trained.

An unknown state never counts as "no change".
"""

import json

from everfit.blocks.spec import ModelSpec
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.registry import tracking
from everfit.tasks.registry.code_version import package_versions
from everfit.tasks.registry.own_code import MISSING, OWN_CODE_TAG, as_tag, changed_packages, own_code
from everfit.tasks.triage.signals import CodeSignal
from everfit.tasks.turns.context import Context


def compare_with_training(window: MonitoredWindow) -> CodeSignal:
    """Compare spec and packages with those of the champion."""
    monitored = window.monitored
    return read_code(monitored.context, monitored.turn, monitored.champion.run_id)


def read_code(context: Context, turn: Turn | None, run_id: str) -> CodeSignal:
    """Compare spec and packages with those of the champion; absent if the spec does not ask for it.

    Args:
        context: The model's spec and storage.
        turn: The turn that trained the champion.
        run_id: The champion's MLflow run.
    """
    if not context.spec.retraining.code:
        return CodeSignal()
    tags = context.mlflow.get_run(run_id).data.tags
    trained_with, trained_own = tags.get(tracking.PACKAGES_TAG), tags.get(OWN_CODE_TAG)
    earlier = None if trained_own is None else json.loads(trained_own)
    own = own_code(context.spec, earlier or ())
    return code_signal(context.spec, turn, json.dumps(package_versions()), trained_with, own, earlier)


def code_signal(  # noqa: PLR0917 - the state now and then
    spec: ModelSpec,
    turn: Turn | None,
    packages: str,
    trained_with: str | None,
    own: dict[str, str] | None = None,
    trained_own: dict[str, str] | None = None,
) -> CodeSignal:
    """Return what has changed; `not_enough` if that is not known.

    Args:
        spec: The present spec.
        turn: The turn that trained the champion; None if it is not in this ledger.
        packages: The present package versions, as JSON.
        trained_with: The champion's package versions; None if its run does not have them.
        own: The digests of the user's own code.
        trained_own: Those of the champion's training; None if its run does not have them.
    """
    changed, unknown = [], []
    if turn is None:
        unknown.append("no turn of this ledger trained the champion, so its spec is not known")
    elif turn.spec_digest != spec.digest():
        changed.append("the model spec has changed since the champion was trained")
    if trained_with is None:
        unknown.append("the champion's run does not have the package versions of its training")
    elif trained_with != packages:
        changed.append(f"package versions have changed from {trained_with} to {packages}")
    if own and trained_own is None:
        unknown.append("the champion's run does not have the digest of your own code")
    else:
        now, then = own or {}, trained_own or {}
        absent = sorted(name for name in then if now.get(name) == MISSING != then[name])
        if absent:
            unknown.append(f"your own code is not here, so whether it has changed is not known: {', '.join(absent)}")
        if names := [name for name in changed_packages(now, then) if name not in absent]:
            changed.append(f"your own code has changed since the champion was trained: {', '.join(names)}")
    return CodeSignal(
        status="not_enough" if unknown and not changed else "measured",
        reason="; ".join(unknown),
        changed=tuple(changed),
        state=f"{spec.digest()}-{packages}{as_tag(own) if own else ''}",
    )
