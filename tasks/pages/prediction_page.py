"""The story of one prediction: the chain from its answer back to the data, the decisions and the code. Pure.

It names no feature of the row: those are in the prediction log, whose readers have a right to them.
"""

from collections.abc import Iterator
from datetime import datetime

from everfit.tasks.batch.trace import Trace
from everfit.tasks.pages.elements import time_of
from everfit.tasks.pages.evidence import turn_evidence
from everfit.tasks.pages.markup import Child, anchor, document, tag
from everfit.tasks.pages.model_status import moment
from everfit.tasks.pages.sections import evidence_tables
from everfit.tasks.predictions import prediction_log
from everfit.tasks.turns.turn_record import TurnRecord

UNKNOWN = "not recorded"
_SHORT = 12


def trace_facts(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yield the links of the chain behind a prediction, each with its name.

    Args:
        trace: The chain.
    """
    row, version, release = trace.prediction, trace.version, trace.release
    yield "prediction", f"{row[prediction_log.PREDICTION]}{_score(trace)}"
    yield "predicted", f"{moment(row[prediction_log.PREDICTED_AT])} for {row.get(prediction_log.CLIENT) or UNKNOWN}"
    outlier = row.get(prediction_log.OUTLIER)
    if outlier is not None:
        yield "outlier score", f"{outlier:.3f} of 1"
    yield from _certainty(trace)
    joined = row.get(prediction_log.JOINED)
    if joined is not None:
        yield "joined rows", joined
    label = trace.label
    known = "not known yet"
    if label is not None:
        known = f"{label['label']} ({label['origin']}, {moment(datetime.fromisoformat(label['label_time']))})"
    yield "label", known
    arm, run = row[prediction_log.ARM], version.run_id or "-"
    yield "model", f"{version.model} version {version.version}, arm {arm}, run {run}"
    yield "trained until", moment(version.trained_until)
    yield "snapshot", version.snapshot_digest[:_SHORT] or UNKNOWN
    if release is None:
        yield "release", "never released"
    else:
        yield "release", f"{release.seq} ({release.kind}) by {release.actor or '-'} at {moment(release.at)}"
        yield "reason", release.reason
    if trace.turn is not None:
        turn = trace.turn.turn
        yield (
            "turn",
            f"{turn.id}: {turn.state}, triggered by {turn.trigger.kind} ({turn.trigger.reason or 'no reason'})",
        )
        validation = TurnRecord.readable(turn.record).validation
        if validation is not None:
            met = sum(outcome.passed for outcome in validation.outcomes)
            yield "data", f"{met} of {len(validation.outcomes)} expectations met, {validation.bad_rows:,} bad rows"
        for decision in trace.turn.decisions:
            yield decision.kind, f"{decision.verdict}: {'; '.join(decision.reasons)}"
    else:
        yield "turn", UNKNOWN
    yield "code", trace.git_commit or UNKNOWN
    yield "spec", trace.spec_digest[:_SHORT] or UNKNOWN


def prediction_page(prediction_id: str, trace: Trace, written_at: datetime) -> str:
    """Return the story of a prediction as HTML that needs no network.

    Args:
        prediction_id: The id of the prediction.
        trace: The chain behind it.
        written_at: The present.
    """
    model = trace.version.model
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in trace_facts(trace)]
    evidence: Child = tag("p", "The turn that trained the version was not recorded.", class_="quiet")
    if trace.turn is not None:
        evidence = evidence_tables(turn_evidence(trace.turn))
    body = [
        tag("a", "Skip to content", href="#main", class_="skip"),
        tag(
            "header",
            tag(
                "nav",
                [anchor("All models", "../../index.html"), " / ", anchor(model, "../index.html"), " / prediction"],
                aria_label="Breadcrumb",
            ),
            tag("h1", f"Prediction {prediction_id}"),
        ),
        tag(
            "main",
            tag(
                "section",
                tag("h2", "From the answer back to its data"),
                tag("table", tag("tbody", rows), aria_label="From the answer back to its data"),
            ),
            tag("section", tag("h2", "The turn that trained the model"), evidence),
            id="main",
        ),
        tag(
            "footer",
            tag(
                "p",
                "Written at ",
                time_of(written_at),
                ". The values of the row are in the prediction log. ",
                tag("code", f"everfit trace {prediction_id} --model {model}"),
                " says the same in a terminal.",
            ),
        ),
    ]
    return document(f"Prediction {prediction_id}", body, data={}, style=("page.css",), scripts=())


def _certainty(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yield the interval or the set of the answer, and whether it was too unsure."""
    row = trace.prediction
    bound, answer = row.get(prediction_log.BOUND), row[prediction_log.PREDICTION]
    if bound is not None and isinstance(answer, float):
        yield "interval", f"{answer - bound:.6g} to {answer + bound:.6g}"
    elif bound is not None:
        yield "prediction set", f"the most probable class, and each of a probability of at least {1 - bound:.4g}"
    if row.get(prediction_log.ABSTAINED) is not None:
        yield "too unsure", "yes; a person is asked" if row[prediction_log.ABSTAINED] else "no"


def _score(trace: Trace) -> str:
    score = trace.prediction.get(prediction_log.SCORE)
    return "" if score is None or score == trace.prediction[prediction_log.PREDICTION] else f" (score {score:.4g})"
