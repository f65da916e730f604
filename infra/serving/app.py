"""The HTTP side of the service."""

import asyncio
import importlib.metadata
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from everfit.blocks.errors import DataError, WorkspaceError
from everfit.infra.serving.access import ANONYMOUS, AccessError, Limiter, Tokens
from everfit.infra.serving.batching import OverloadedError, ScoredRequest, UnpredictableInputError
from everfit.infra.serving.endpoint import ArmPredictions, Endpoint, NotReadyError, OutlierError
from everfit.infra.serving.label_endpoint import keep_labels, read_labels, utc_now
from everfit.infra.serving.openapi import openapi_document
from everfit.infra.serving.protocol import RequestError, RequestTable, read_invocation, read_json, records_table
from everfit.infra.serving.query_attacks import QueryAttackError
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import SpoolError
from everfit.infra.serving.telemetry import Telemetry
from everfit.tasks.models.input_schema import InputError, InputSchema
from everfit.tasks.predictions.labels import RecordedLabels

logger = logging.getLogger(__name__)

_BODY_SECONDS = 30.0
_MAX_IDS_IN_HEADER = 32


class Service:
    """Answers for some models.

    Args:
        endpoints: By model; `/invocations` asks the first.
        tokens: The callers that are allowed.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], tokens: Tokens) -> None:
        self.endpoints, self.tokens = endpoints, tokens
        self.telemetry = Telemetry(endpoints)
        self._limiters = {name: Limiter(one.policy.rate, one.policy.max_concurrent) for name, one in endpoints.items()}

    def endpoint(self, name: str | None) -> Endpoint:
        """The endpoint of a model; the first without a name.

        Raises:
            RequestError: it isn't served here.
        """
        found = next(iter(self.endpoints.values())) if name is None else self.endpoints.get(name)
        if found is None:
            raise RequestError(f"model {name!r} is not served here; served are {', '.join(self.endpoints)}", 404)
        return found

    async def answer(
        self, request: Request, name: str | None, handle: Callable[[Endpoint, bytes, str], Awaitable[Response]]
    ) -> Response:
        """Admit a request, read its body, and turn what goes wrong into an answer that says so."""
        began = time.perf_counter()
        model = name if name is not None and name in self.endpoints else next(iter(self.endpoints))
        try:
            endpoint = self.endpoint(name)
            client = self.tokens.client(request.headers.get("authorization"))
            with self._limiters[endpoint.name].admit(client):
                body = await _body(request, endpoint.policy.max_body)
                response = await handle(endpoint, body, client)
        except InputError as error:
            self.telemetry.refused(model, error.column)
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it's answered in one form
            response = refusal(error)
            if response.status_code == 500:  # not its text: it may quote feature values
                at = traceback.extract_tb(error.__traceback__)[-1]
                logger.error("%s: a request failed: %s at %s:%s", model, type(error).__name__, at.filename, at.lineno)
        self.telemetry.answered(model, response.status_code, time.perf_counter() - began)
        return response


async def _body(request: Request, limit: int) -> bytes:
    too_large = RequestError(f"the body is larger than {limit} bytes; send fewer rows at once", 413)
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise RequestError(f"the body did not come within {_BODY_SECONDS:g} seconds", 408) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def refusal(error: Exception) -> Response:
    """Answer an error in the form of MLflow's scoring server, with what is known of it."""
    content: dict[str, Any] = {"error_code": "BAD_REQUEST", "message": str(error)}
    headers = {}
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
            content["error_code"] = "UNAUTHENTICATED" if status == 401 else "REQUEST_LIMIT_EXCEEDED"
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": str(error.retry_after_s)}
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
            # No text of it: it may quote feature values.
            status = 500
            content = {"error_code": "INTERNAL_ERROR", "message": f"the service failed: {type(error).__name__}"}
    return _json(content, status, headers)


def _shown(value: object) -> object:
    if isinstance(value, str):
        return value[:80]
    return value if value is None or isinstance(value, bool | int | float) else type(value).__name__


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    try:
        body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError):  # a value out of the request that JSON can't say, such as a lone surrogate
        body = orjson.dumps({name: repr(value).encode("ascii", "replace").decode() for name, value in content.items()})
    return Response(body, status, headers, "application/json")


async def invoke(endpoint: Endpoint, body: bytes, client: str, content_type: str) -> Response:
    """Answer a request of MLflow's scoring protocol."""
    servable = endpoint.servable()
    table = read_invocation(body, content_type, servable.inputs)
    parts = await endpoint.predict(servable, table, client)
    told = _in_order(parts, [_invoked(part.answer, servable) for part in parts], table.rows)
    versions = dict.fromkeys(str(part.answer.servable.version.version) for part in parts)
    headers = {"everfit-model-version": ",".join(versions)}
    if table.rows <= _MAX_IDS_IN_HEADER:
        ids = _in_order(parts, [part.answer.ids[part.answer.start : part.answer.stop] for part in parts], table.rows)
        headers["everfit-prediction-ids"] = ",".join(ids)
    return _json({"predictions": told}, headers=headers)


async def predict(endpoint: Endpoint, body: bytes, client: str) -> Response:
    """Answer everfit's own records."""
    servable = endpoint.servable()
    content = read_json(body)
    records = content.get("records") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RequestError('the body must be {"records": […]}, each record an object', 422)
    table = records_table([_flat(record, row, servable.inputs) for row, record in enumerate(records)])
    parts = await endpoint.predict(servable, RequestTable(table.columns, len(records)), client)
    return _json({"predictions": _in_order(parts, [_told(part.answer) for part in parts], len(records))})


async def tell(endpoint: Endpoint, body: bytes, client: str) -> Response:
    """Take labels."""
    servable = endpoint.servable()
    content = read_json(body)

    def keep() -> RecordedLabels:
        rows = read_labels(content, servable, utc_now(), client)
        return keep_labels(endpoint.labels, rows, endpoint.check_store)

    recorded = await asyncio.to_thread(keep)
    return _json(recorded.model_dump())


def _flat(record: dict[str, Any], row: int, inputs: InputSchema) -> dict[str, Any]:
    """A record with its key among its columns."""
    columns = inputs.columns
    flat = record
    if isinstance(record.get("features"), dict) and "features" not in columns:
        flat = {**{name: value for name, value in record.items() if name != "features"}, **record["features"]}
    if "event_time" in flat and "event_time" not in columns and inputs.event_time != "event_time":
        flat = {**flat, inputs.event_time: flat["event_time"]}
    if flat.get("key") is None or "key" in columns:
        return flat
    key, names = flat["key"], [column.name for column in inputs.key]
    if not isinstance(key, dict):
        if len(names) != 1:
            raise InputError(
                "key", f"an object with {', '.join(names) or 'no columns: this model has no key'}", key, row
            )
        key = {names[0]: key}
    for name, value in key.items():
        if name not in names:
            raise InputError("key", f"only the key columns {', '.join(names) or '(this model has none)'}", name, row)
        if name in flat and flat[name] != value:
            raise InputError(name, "the same value in `key` as in the record", value, row)
    return {**flat, **key}


def _invoked(answer: ScoredRequest, champion: Servable) -> list[Any]:
    """What MLflow's protocol answers, for any arm what it would answer for the champion."""
    probabilities = answer.scores.probabilities
    told = probabilities if champion.answers_probabilities and probabilities is not None else answer.scores.values
    return list(told[answer.start : answer.stop].tolist())


def _in_order(parts: Sequence[ArmPredictions], told: Sequence[Sequence[Any]], rows: int) -> list[Any]:
    """The answers of all arms in the order of the request's rows."""
    if parts[0].rows is None:
        return list(told[0])
    placed: list[Any] = [None] * rows
    for part, answers in zip(parts, told, strict=True):
        for row, answer in zip(part.rows or (), answers, strict=True):
            placed[row] = answer
    return placed


def _told(answer: ScoredRequest) -> list[dict[str, Any]]:
    servable, scores = answer.servable, answer.scores
    names = [str(value) for value in servable.scorer.classes]
    rows = range(answer.start, answer.stop)
    values = scores.values[answer.start : answer.stop].tolist()
    chances = None if scores.probabilities is None else scores.probabilities[answer.start : answer.stop].tolist()
    return [
        {
            "prediction_id": answer.ids[row],
            "prediction": values[position],
            "probabilities": None if chances is None else dict(zip(names, chances[position], strict=True)),
            "model_version": servable.version.version,
            "outlier": answer.outliers[row],
        }
        for position, row in enumerate(rows)
    ]


def create_app(endpoints: Mapping[str, Endpoint], tokens: Tokens) -> FastAPI:
    """Make the app.

    Args:
        endpoints: By model; they are started and stopped with the app.
        tokens: The callers that are allowed.
    """
    service = Service(endpoints, tokens)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for endpoint in endpoints.values():
            await asyncio.to_thread(endpoint.start)
        yield
        for endpoint in endpoints.values():
            await asyncio.to_thread(endpoint.stop)

    app = FastAPI(title="everfit prediction service", lifespan=lifespan)
    app.openapi = lambda: openapi_document(endpoints, tokens)  # type: ignore[method-assign]

    @app.post("/models/{name}/labels")
    async def model_labels(request: Request, name: str) -> Response:
        return await service.answer(request, name, tell)

    _add_readings(app, service)

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        return await service.answer(request, None, lambda one, body, client: invoke(one, body, client, kind))

    @app.post("/models/{name}/invocations")
    async def model_invocations(request: Request, name: str) -> Response:
        kind = request.headers.get("content-type", "")
        return await service.answer(request, name, lambda one, body, client: invoke(one, body, client, kind))

    @app.post("/models/{name}/predict")
    async def model_predict(request: Request, name: str) -> Response:
        return await service.answer(request, name, predict)

    return app


def _add_readings(app: FastAPI, service: Service) -> None:
    """What can be asked of the service itself."""
    endpoints, tokens = service.endpoints, service.tokens

    @app.get("/ping")
    @app.get("/health")
    async def health() -> Response:
        ready = all(endpoint.ready for endpoint in endpoints.values())
        return Response("\n", 200 if ready else 503, media_type="application/json")

    @app.get("/version")
    async def version() -> Response:
        return Response(importlib.metadata.version("mlflow"), media_type="application/json")

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        try:
            tokens.client(request.headers.get("authorization"))
        except AccessError as error:
            return refusal(error)
        return Response(service.telemetry.text(), media_type="text/plain; version=0.0.4")

    @app.get("/models/{name}")
    async def status(request: Request, name: str) -> Response:
        try:
            told = service.endpoint(name).status()
        except RequestError as error:
            return refusal(error)
        try:
            client = tokens.client(request.headers.get("authorization"))
        except AccessError:
            client = ""
        # Which version is served is no secret; it's what a release is verified by.
        return _json(told if client or client == ANONYMOUS else {"name": name, "version": told["version"]})
