"""The HTTP side of the service."""

import asyncio
import importlib.metadata
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from everfit.infra.serving.access import AccessError, Limiter, Tokens, refuse_other_sites
from everfit.infra.serving.checked_host import CheckedHost
from everfit.infra.serving.endpoint import Endpoint
from everfit.infra.serving.label_endpoint import check_labeller, check_own, read_labels, utc_now
from everfit.infra.serving.openapi import openapi_document
from everfit.infra.serving.protocol import (
    CSV,
    JSON,
    RequestError,
    RequestTable,
    media_type,
    read_invocation,
    read_json,
    records_table,
)
from everfit.infra.serving.responses import (
    certainty_headers,
    in_order,
    invocation_predictions,
    json_response,
    prediction_records,
    refusal,
)
from everfit.infra.serving.telemetry import Telemetry
from everfit.tasks.models.input_column import InputError
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.storage.tables import DAY

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_BODY_SECONDS = 30.0
_MAX_IDS_IN_HEADER = 32


class Service:
    """Routes requests to the endpoints of models.

    Args:
        endpoints: Endpoint of each model; `/invocations` uses the first.
        tokens: Tokens of clients.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], tokens: Tokens) -> None:
        self.endpoints, self.tokens = endpoints, tokens
        self.telemetry = Telemetry(endpoints)
        self._limiters = {name: Limiter(one.policy.rate, one.policy.max_concurrent) for name, one in endpoints.items()}

    def endpoint(self, name: str | None) -> Endpoint:
        """Return the endpoint of a model, or the first without a name.

        Raises:
            RequestError: If the model isn't served here.
        """
        endpoint = next(iter(self.endpoints.values())) if name is None else self.endpoints.get(name)
        if endpoint is None:  # it may have been renamed since the start
            endpoint = next((one for one in self.endpoints.values() if one.present_name == name), None)
        if endpoint is None:
            raise RequestError(f"model {name!r} is not served here; served are {', '.join(self.endpoints)}", 404)
        return endpoint

    async def answer(
        self,
        request: Request,
        name: str | None,
        handle: Callable[[Endpoint, bytes, str], Awaitable[Response]],
        accepted: Sequence[str] = (JSON,),
    ) -> Response:
        """Admit a request, read its body, and turn errors into responses.

        Args:
            request: The request.
            name: Name of the model; None for the first.
            handle: Function that responds.
            accepted: Media types of bodies that the route reads.
        """
        began = time.perf_counter()
        model = name if name is not None and name in self.endpoints else next(iter(self.endpoints))
        try:
            client = client_of(self.tokens, request)  # first: whoever has no token learns of no model
            endpoint = self.endpoint(name)
            media_type(request.headers.get("content-type", ""), *accepted)
            with self._limiters[endpoint.name].admit(client):
                body = await _body(request, endpoint.policy.max_body)
                response = await handle(endpoint, body, client)
        except InputError as error:
            self.telemetry.refused(model, error.column)
            response = refusal(error)
        except Exception as error:  # noqa: BLE001 - every error has the same form of response
            response = refusal(error)
            if response.status_code == 500:  # don't log its text, because it may quote feature values
                at = traceback.extract_tb(error.__traceback__)[-1]
                logger.error("%s: a request failed: %s at %s:%s", model, type(error).__name__, at.filename, at.lineno)
        self.telemetry.answered(model, response.status_code, time.perf_counter() - began)
        return response


def client_of(tokens: Tokens, request: Request) -> str:
    """Return the client of a request.

    Raises:
        AccessError: If its token is missing or unknown, or, without a token file, if a page of another site sent it.
    """
    if not tokens.required:
        refuse_other_sites(request.headers.get("host", ""), request.headers.get("origin"))
    return tokens.client(request.headers.get("authorization"))


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
        raise RequestError(f"the body did not arrive within {_BODY_SECONDS:g} seconds; send it again", 408) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def invoke(endpoint: Endpoint, body: bytes, client: str, content_type: str) -> Response:
    """Respond to a request of MLflow's scoring protocol."""
    servable = endpoint.servable()
    table = read_invocation(body, content_type, servable.inputs)
    parts = await endpoint.predictor.predict(servable, table, client)
    predictions = in_order(parts, [invocation_predictions(part.answer, servable) for part in parts], table.rows)
    versions = dict.fromkeys(str(part.answer.servable.version.version) for part in parts)
    headers = {"everfit-model-version": ",".join(versions)}
    if table.rows <= _MAX_IDS_IN_HEADER:
        ids = in_order(parts, [part.answer.ids[part.answer.start : part.answer.stop] for part in parts], table.rows)
        headers["everfit-prediction-ids"] = ",".join(ids)
        headers |= certainty_headers(parts, table.rows)
        if parts[0].joined is not None:
            headers["everfit-joined-rows"] = ", ".join(parts[0].joined)
    return json_response({"predictions": predictions}, headers=headers)


async def predict(endpoint: Endpoint, body: bytes, client: str) -> Response:
    """Respond to a request with everfit's own records."""
    servable = endpoint.servable()
    content = read_json(body)
    records = content.get("records") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise RequestError('the body must be {"records": […]}, each record an object', 422)
    table = records_table([_flat(record, row, servable.inputs) for row, record in enumerate(records)])
    parts = await endpoint.predictor.predict(servable, RequestTable(table.columns, len(records)), client)
    return json_response({"predictions": in_order(parts, [prediction_records(part) for part in parts], len(records))})


async def post_labels(endpoint: Endpoint, body: bytes, client: str) -> Response:
    """Record the labels of a request."""
    check_labeller(endpoint.policy, client)
    servable = endpoint.servable()
    content = read_json(body)

    def read() -> "pd.DataFrame":
        rows = read_labels(content, servable, utc_now(), client)
        endpoint.predictor.check_days(rows[DAY], "label_time")
        if endpoint.policy.labels_of == "own":
            check_own(endpoint.log, endpoint.prediction_index, rows, client)
        return rows

    recorded = await endpoint.label_commits.add(await asyncio.to_thread(read))
    return json_response(recorded.model_dump())


def _flat(record: dict[str, Any], row: int, inputs: InputSchema) -> dict[str, Any]:
    """Return a record with its key among its columns."""
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


def create_app(
    endpoints: Mapping[str, Endpoint], tokens: Tokens, on_start: Callable[[], object] = lambda: None
) -> Starlette:
    """Make the app.

    Args:
        endpoints: Endpoint of each model; they are started and stopped with the app.
        tokens: Tokens of clients.
        on_start: Function to call when the endpoints have started.
    """
    service = Service(endpoints, tokens)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        for endpoint in endpoints.values():
            await asyncio.to_thread(endpoint.start)
        on_start()
        yield
        for endpoint in endpoints.values():
            await asyncio.to_thread(endpoint.stop)

    return Starlette(
        routes=[*_model_routes(service), *_reading_routes(service)],
        middleware=[Middleware(CheckedHost)],
        exception_handlers={HTTPException: _refuse_unknown},
        lifespan=lifespan,
    )


def _model_routes(service: Service) -> list[BaseRoute]:
    """Return the routes that predict and take labels."""

    async def model_labels(request: Request) -> Response:
        return await service.answer(request, request.path_params["name"], post_labels)

    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        return await service.answer(
            request,
            request.path_params.get("name"),
            lambda one, body, client: invoke(one, body, client, kind),
            (JSON, CSV),
        )

    async def model_predict(request: Request) -> Response:
        return await service.answer(request, request.path_params["name"], predict)

    return [
        Route("/invocations", invocations, methods=["POST"]),
        Route("/models/{name}/invocations", invocations, methods=["POST"]),
        Route("/models/{name}/predict", model_predict, methods=["POST"]),
        Route("/models/{name}/labels", model_labels, methods=["POST"]),
    ]


def _reading_routes(service: Service) -> list[BaseRoute]:
    """Return the routes for the state of the service."""
    endpoints, tokens = service.endpoints, service.tokens

    async def description(request: Request) -> Response:
        return _refused(tokens, request) or json_response(openapi_document(endpoints, tokens))

    async def health(_: Request) -> Response:
        ready = all(endpoint.ready for endpoint in endpoints.values())
        return Response("\n", 200 if ready else 503, media_type="application/json")

    async def version(_: Request) -> Response:
        return Response(importlib.metadata.version("mlflow"), media_type="application/json")

    async def metrics(request: Request) -> Response:
        return _refused(tokens, request) or Response(service.telemetry.text(), media_type="text/plain; version=0.0.4")

    async def status(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            client = client_of(tokens, request)
        except AccessError as error:
            if error.status != 401:
                return refusal(error)
            client = ""
        try:
            state = service.endpoint(name).status()
        except RequestError as error:
            return refusal(error if client else RequestError(f"model {name!r} is not served here", 404))
        # The served version is public, because releases are verified by it.
        return json_response(state if client else {"name": name, "version": state["version"]})

    paths = {
        "/openapi.json": description,
        "/ping": health,
        "/health": health,
        "/version": version,
        "/metrics": metrics,
        "/models/{name}": status,
    }
    return [Route(path, answer, methods=["GET"]) for path, answer in paths.items()]


def _refused(tokens: Tokens, request: Request) -> Response | None:
    """Return the response to a client that may read nothing; None for any other."""
    try:
        client_of(tokens, request)
    except AccessError as error:
        return refusal(error)
    return None


async def _refuse_unknown(_: Request, error: Exception) -> Response:
    """Answer a request for a path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it handles no other error
    return json_response({"detail": error.detail}, error.status_code, error.headers)
