"""What has changed in spec and packages since the champion was trained. What isn't known is never "no change"."""

import json

from everfit.blocks.spec import ModelSpec
from everfit.tasks.ledger import Turn
from everfit.tasks.registry import tracking
from everfit.tasks.triage.signals import CodeSignal
from everfit.tasks.turns.context import Context


def read_code(context: Context, turn: Turn | None, run_id: str) -> CodeSignal:
    """Compare spec and packages with those that the champion was trained with.

    Args:
        context: The model's.
        turn: That trained the champion.
        run_id: The champion's MLflow run.
    """
    if not context.spec.retraining.code:
        return CodeSignal()
    trained_with = context.mlflow.get_run(run_id).data.tags.get(tracking.PACKAGES_TAG)
    return code_signal(context.spec, turn, json.dumps(tracking.package_versions()), trained_with)


def code_signal(spec: ModelSpec, turn: Turn | None, packages: str, trained_with: str | None) -> CodeSignal:
    """What has changed; `not_enough` where that can't be told.

    Args:
        spec: As it is now.
        turn: That trained the champion; none if none of this ledger did.
        packages: Versions, as JSON.
        trained_with: The same of the champion; none if its run doesn't say.
    """
    changed, unknown = [], []
    if turn is None:
        unknown.append("no turn of this ledger has trained the champion, so its spec isn't known")
    elif turn.spec_digest != spec.digest():
        changed.append("the model spec has changed since the champion was trained")
    if trained_with is None:
        unknown.append("the champion's run doesn't say which package versions it was trained with")
    elif trained_with != packages:
        changed.append(f"package versions have changed from {trained_with} to {packages}")
    status = "not_enough" if unknown and not changed else "measured"
    told = {"status": status, "reason": "; ".join(unknown), "changed": tuple(changed)}
    return CodeSignal.model_validate(told | {"state": f"{spec.digest()}-{packages}"})
