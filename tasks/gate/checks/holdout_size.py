"""The hold-out has enough rows, and enough of its rarest class."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    name, rows = "hold-out size", evidence.holdout_rows
    compared = evidence.comparison or evidence.dummy_comparison
    rarest = evidence.rarest_class_rows
    if rarest is None and compared is not None:
        rarest = compared.rarest_class_rows
    if rows < policy.min_rows:
        reason = f"the hold-out has {rows:,} rows; a comparison needs at least {policy.min_rows:,}"
        yield Check(name=name, passed=False, value=rows, bound=policy.min_rows, reason=reason)
    elif rarest is not None and rarest < policy.min_class_rows:
        counted = "1 row" if rarest == 1 else f"{rarest:,} rows"
        reason = f"the hold-out has {counted} of its rarest class; a comparison needs {policy.min_class_rows:,}"
        yield Check(name=name, passed=False, value=rarest, bound=policy.min_class_rows, reason=reason)
    elif (cause := next(iter(evidence.not_enough.values()), None)) is not None:
        yield Check(
            name=name, passed=False, value=rows, bound=policy.min_rows, reason=f"the hold-out is too small: {cause}"
        )
    else:
        reason = f"{rows:,} rows to compare on; the gate requires at least {policy.min_rows:,}"
        yield Check(name=name, passed=True, value=rows, bound=policy.min_rows, reason=reason)


CHECK = GateCheck(
    name="hold-out size",
    place=50,
    summary="The hold-out has enough rows, and enough of its rarest class.",
    policy="min_rows",
    judge=_judge,
    open_on_few_rows="always",
)
