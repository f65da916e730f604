"""The flows, to be deployed as they are or called as subflows of your own: `from everfit.flows import training`.

Each takes a model: a spec file, the name of a spec in `deployments/models`, or the name of a stored Model Spec block.
A flow is imported when it is first used, so that `import everfit.flows` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfit.flows.approval_flow import approval
    from everfit.flows.digest_flow import digest
    from everfit.flows.housekeeping_flow import housekeeping
    from everfit.flows.labeling_flow import labeling
    from everfit.flows.monitoring_flow import monitoring
    from everfit.flows.reconcile_flow import reconcile
    from everfit.flows.rehearsal_flow import rehearsal
    from everfit.flows.retraining_flow import retraining
    from everfit.flows.rollback_flow import rollback
    from everfit.flows.scoring_flow import scoring
    from everfit.flows.service_check_flow import service_check
    from everfit.flows.training_flow import training
    from everfit.flows.trial_flow import trial
    from everfit.flows.upkeep_flow import upkeep
    from everfit.flows.watch_source_flow import watch_source

__all__ = [
    "approval",
    "digest",
    "housekeeping",
    "labeling",
    "monitoring",
    "reconcile",
    "rehearsal",
    "retraining",
    "rollback",
    "scoring",
    "service_check",
    "training",
    "trial",
    "upkeep",
    "watch_source",
]


def __getattr__(name: str) -> Any:
    """Import a flow when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'everfit.flows' has no attribute {name!r}; it has {', '.join(__all__)}")
    flow = getattr(import_module(f"everfit.flows.{name}_flow"), name)
    globals()[name] = flow
    return flow


def __dir__() -> list[str]:
    return __all__
