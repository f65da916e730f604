"""The prediction service loads the model and answers as in training, within its limits."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, judge, missing
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check that the prediction service's own code can serve the model, and within its limits."""
    if policy.serving is None:
        return
    trial = evidence.serving
    if trial is None:
        yield missing("serving", "whether the prediction service can load the model and answers as in training")
        return
    passed = trial.loaded and trial.same_predictions
    reason = "the prediction service loads the model and answers as in training"
    reason += f"; {trial.capacity}" if trial.capacity else ""
    if not passed:
        failing = "answers otherwise than in training" if trial.loaded else "can't load the model"
        reason = f"the prediction service {failing}" + (f": {trial.problem}" if trial.problem else "")
    yield Check(name="serving", passed=passed, reason=reason)
    for name, value, bound in (
        ("p99_ms", trial.p99_ms, policy.serving.p99_ms),
        ("size_mb", trial.size_mb, policy.serving.size_mb),
        ("memory_mb", trial.memory_mb, policy.serving.memory_mb),
    ):
        if bound is not None:
            yield judge(f"serving {name}", value, bound, at_most=True, subject=f"{name} in the prediction service")
    least = policy.serving.requests_per_second
    if least is not None and trial.requests_per_second is None:
        yield missing("serving requests_per_second", "the capacity of the service", trial.capacity_problem or None)
    elif least is not None:
        yield judge(
            "serving requests_per_second",
            trial.requests_per_second,
            least,
            at_most=False,
            subject="requests per second of the prediction service on one core",
        )


CHECK = GateCheck(
    name="serving",
    place=130,
    summary="The prediction service loads the model and answers as in training, within its limits.",
    policy="serving",
    judge=_judge,
)
