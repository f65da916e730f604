"""No model has trained on a row of the hold-out."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing
from everfit.tasks.gate.evidence import Check, Evidence
from everfit.tasks.gate.holdout_start import holdout_start_allowed


def _judge(evidence: Evidence, _: GatePolicy) -> Checks:
    name, overlap, since = "unseen rows", evidence.overlap_rows, evidence.holdout.since
    first = evidence.champion_version is None
    trained_until = [evidence.challenger_trained_until, *([] if first else [evidence.champion_trained_until])]
    # Times don't tell which rows of a sample the challenger has seen: their keys do.
    seen_until = holdout_start_allowed(*trained_until[evidence.sampled :])
    if overlap is None or None in trained_until or (seen_until is None and not evidence.sampled):
        yield missing(name, "whether a model has trained on rows of the hold-out")
    elif overlap:
        reason = (
            f"{overlap:,} of the {evidence.holdout_rows:,} hold-out rows were trained on; compare on unseen rows only"
        )
        yield Check(name=name, passed=False, value=overlap, bound=0, reason=reason)
    elif seen_until is not None and (since is None or since < seen_until):
        start = "the beginning" if since is None else f"{since:%Y-%m-%d %H:%M}"
        reason = f"the hold-out starts at {start}, but a model was trained on rows up to {seen_until:%Y-%m-%d %H:%M}"
        yield Check(name=name, passed=False, value=overlap, bound=0, reason=reason)
    else:
        yield Check(name=name, passed=True, value=0, bound=0, reason="no model has trained on a row of the hold-out")


CHECK = GateCheck(
    name="unseen rows",
    place=10,
    summary="No model has trained on a row of the hold-out.",
    policy=None,
    judge=_judge,
)
