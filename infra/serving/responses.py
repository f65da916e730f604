"""Make HTTP responses from predictions and errors."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from everfit.blocks.errors import DataError, WorkspaceError
from everfit.infra.serving.access import AccessError
from everfit.infra.serving.arm_predictions import ArmPredictions
from everfit.infra.serving.batching import OverloadedError, ScoredRequest, UnpredictableInputError
from everfit.infra.serving.feature_lookup import NotReadyError
from everfit.infra.serving.predictor import OutlierError
from everfit.infra.serving.protocol import RequestError
from everfit.infra.serving.query_attacks import QueryAttackError
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import SpoolError
from everfit.tasks.models.input_column import InputError
from everfit.tasks.scoring.certainty import said_of
from everfit.tasks.storage.values import as_text


def refusal(error: Exception) -> Response:
    """Return the response to an error, in the form of MLflow's scoring server with further details."""
    content: dict[str, Any] = {"error_code": "BAD_REQUEST", "message": str(error)}
    headers: dict[str, str] = {}
    match error:
        case InputError():
            status = 422
            content |= {
                "column": error.column,
                "row": error.row,
                "value": _shown(error.value),
                "expected": error.expected,
            }
        case RequestError():
            status = error.status
        case AccessError():
            status = error.status
            code, headers = {
                401: ("UNAUTHENTICATED", {"WWW-Authenticate": "Bearer"}),
                403: ("PERMISSION_DENIED", {}),
            }.get(status, ("REQUEST_LIMIT_EXCEEDED", {"Retry-After": str(error.retry_after_s)}))
            content["error_code"] = code
        case QueryAttackError():
            status = 429
            content["error_code"] = "REQUEST_LIMIT_EXCEEDED"
            headers = {"Retry-After": "60"}
        case UnpredictableInputError() | OutlierError() | DataError():
            status = 422
        case NotReadyError() | OverloadedError() | SpoolError() | WorkspaceError():
            status = 503
            content["error_code"] = "TEMPORARILY_UNAVAILABLE"
            headers = {"Retry-After": "1"}
        case ClientDisconnect():
            status = 499
        case _:
            # Don't show its text, because it may quote feature values.
            status = 500
            content = {"error_code": "INTERNAL_ERROR", "message": f"the service failed: {type(error).__name__}"}
    return json_response(content, status, headers)


def _shown(value: object) -> object:
    if isinstance(value, str):
        return value[:80]
    return value if value is None or isinstance(value, bool | int | float) else type(value).__name__


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return content as a JSON response."""
    try:
        body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError):  # the request had a value that JSON can't encode, such as a lone surrogate
        body = orjson.dumps({name: repr(value).encode("ascii", "replace").decode() for name, value in content.items()})
    return Response(body, status, headers, "application/json")


def invocation_predictions(answer: ScoredRequest, champion: Servable) -> list[Any]:
    """Return predictions in MLflow's form, for any arm as the champion would return them."""
    probabilities = answer.scores.probabilities
    predictions = answer.scores.values
    if champion.answers_probabilities and probabilities is not None:
        predictions = probabilities
    values = predictions[answer.start : answer.stop].tolist()
    return values if predictions.ndim > 1 else [champion.inputs.answer(value) for value in values]


def in_order(parts: Sequence[ArmPredictions], predictions: Sequence[Sequence[Any]], rows: int) -> list[Any]:
    """Return the predictions of all arms in the order of the request's rows."""
    if parts[0].rows is None:
        return list(predictions[0])
    placed: list[Any] = [None] * rows
    for part, values in zip(parts, predictions, strict=True):
        for row, prediction in zip(part.rows or (), values, strict=True):
            placed[row] = prediction
    return placed


def _certainty(
    answer: ScoredRequest, row: int, value: Any, classes: Sequence[str], chances: Sequence[float] | None
) -> dict[str, Any]:
    """Return the parts of an answer's certainty that the spec asks for."""
    bounds, abstained = answer.certainty.bounds, answer.certainty.abstained
    said: dict[str, Any] = {}
    if bounds is not None:
        said["interval" if chances is None else "prediction_set"] = said_of(value, classes, chances, bounds[row])
    if abstained is not None:
        said["abstained"] = abstained[row]
    return said


def certainty_headers(parts: Sequence[ArmPredictions], rows: int) -> dict[str, str]:
    """Return the headers about how sure the answers to a request are; empty where the spec wants nothing."""
    headers: dict[str, str] = {}
    for name, of in (("everfit-bounds", "bounds"), ("everfit-abstained", "abstained")):
        given = [getattr(part.answer.certainty, of) for part in parts]
        if all(one is not None for one in given):
            cut = [one[part.answer.start : part.answer.stop] for one, part in zip(given, parts, strict=True)]
            headers[name] = ",".join(json.dumps(one) for one in in_order(parts, cut, rows))
    return headers


def prediction_records(part: ArmPredictions) -> list[dict[str, Any]]:
    """Return predictions as everfit's own records."""
    answer = part.answer
    servable, scores = answer.servable, answer.scores
    names = [as_text(servable.inputs.answer(value)) for value in servable.scorer.classes]
    rows = range(answer.start, answer.stop)
    values = scores.values[answer.start : answer.stop].tolist()
    chances = None if scores.probabilities is None else scores.probabilities[answer.start : answer.stop].tolist()
    return [
        {
            "prediction_id": answer.ids[row],
            "prediction": servable.inputs.answer(values[position]),
            "probabilities": None if chances is None else dict(zip(names, chances[position], strict=True)),
            "model_version": servable.version.version,
            "outlier": answer.outliers[row],
            **_certainty(answer, row, values[position], names, None if chances is None else chances[position]),
            **({} if part.joined is None else {"joined": part.joined_of(position)}),
        }
        for position, row in enumerate(rows)
    ]
