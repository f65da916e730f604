"""Each metric in `gate.minimum` reaches its worst value allowed."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.metric_scale import facts_of
from everfit.tasks.gate.check import Checks, GateCheck, judge
from everfit.tasks.gate.evidence import Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    for name, bound in sorted(policy.minimum.items()):
        value = evidence.challenger.get(name)
        at_most = not facts_of(name, evidence.own_metrics.get(name)).greater_is_better
        yield judge(f"minimum {name}", value, bound, at_most=at_most, subject=f"the challenger's {name}")


CHECK = GateCheck(
    name="minimum",
    place=40,
    summary="Each metric in `gate.minimum` reaches its worst value allowed.",
    policy="minimum",
    judge=_judge,
    open_on_few_rows="missing",
)
