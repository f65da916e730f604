"""Describe the service in OpenAPI, with examples from the models' schemas."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfit.infra.serving.access import Tokens
    from everfit.infra.serving.endpoint import Endpoint

_TYPES: dict[str, dict[str, Any]] = {
    "double": {"type": "number"},
    "long": {"type": "integer"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
}
_ERROR = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}
_ERRORS = {
    "400": "The request can't be read.",
    "401": "A token is needed.",
    "403": "The request is of another site, and there are no tokens; or the client has no right to send labels.",
    "404": "This model is not served here.",
    "408": "The body did not arrive in time.",
    "413": "Too many rows, or too large a body.",
    "415": "The content type is not supported.",
    "422": "A value doesn't fit the model's schema.",
    "429": "Too many requests.",
    "503": "No champion yet, too much load, or the prediction can't be logged.",
}
_PREDICTION = {
    "type": "object",
    "required": ["prediction_id", "prediction", "probabilities", "model_version", "outlier"],
    "properties": {
        "prediction_id": {"type": "string", "format": "uuid"},
        "prediction": {},
        "probabilities": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "model_version": {"type": "integer"},
        "outlier": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "interval": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "prediction_set": {"type": ["array", "null"], "items": {"type": "string"}},
        "abstained": {"type": "boolean"},
    },
}


def openapi_document(endpoints: Mapping[str, "Endpoint"], tokens: "Tokens") -> dict[str, Any]:
    """Describe the service in its current state.

    Args:
        endpoints: Endpoint of each model.
        tokens: Tokens of clients.
    """
    paths: dict[str, Any] = {
        "/ping": _get("Check that the service answers", "application/json"),
        "/health": _get("Check that the service answers", "application/json"),
        "/version": _get("MLflow's version", "application/json"),
        "/metrics": _get("For Prometheus", "text/plain"),
    }
    for position, (name, endpoint) in enumerate(endpoints.items()):
        record, example = _record(endpoint)
        records = {
            "type": "object",
            "required": ["records"],
            "properties": {"records": {"type": "array", "items": record}},
        }
        paths[f"/models/{name}"] = _get(f"Show the served versions of {name}", "application/json")
        answers = {"type": "object", "properties": {"predictions": {"type": "array", "items": _PREDICTION}}}
        paths[f"/models/{name}/predict"] = _post(f"Predict with {name}", records, {"records": [example]}, answers)
        labels = {
            "type": "object",
            "required": ["labels"],
            "properties": {
                "labels": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["key", "label"]}}
            },
        }
        label = {"key": _key(endpoint), "label": 1}
        paths[f"/models/{name}/labels"] = _post(
            f"Record labels for {name}", labels, {"labels": [label]}, {"type": "object"}
        )
        frame = {
            "type": "object",
            "required": ["dataframe_records"],
            "properties": {"dataframe_records": {"type": "array", "items": record}},
        }
        invocation = _post(
            f"Predict with {name} in MLflow's protocol",
            frame,
            {"dataframe_records": [example]},
            {"type": "object"},
            csv=True,
        )
        paths[f"/models/{name}/invocations"] = invocation
        if position == 0:
            paths["/invocations"] = invocation
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "everfit prediction service", "version": "1"},
        "paths": paths,
    }
    if tokens.required:
        described["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        described["security"] = [{"token": []}]
    return described


def _record(endpoint: "Endpoint") -> tuple[dict[str, Any], dict[str, Any]]:
    champion = endpoint.champion
    if champion is None:
        return {"type": "object"}, {}
    properties = {}
    for column in champion.inputs.features:
        kind = dict(_TYPES["boolean" if column.meaning == "boolean" else column.kind])
        if column.nullable:
            kind["type"] = [kind["type"], "null"]
        if column.categories is not None:
            kind["enum"] = [*column.categories, *([None] if column.nullable else [])]
        properties[column.name] = kind
    return {"type": "object", "required": list(properties), "properties": properties}, champion.inputs.example()


def _key(endpoint: "Endpoint") -> dict[str, Any]:
    samples = {"double": 0.5, "long": 1, "string": "text", "boolean": True, "datetime": "2024-01-01T00:00:00Z"}
    key = () if endpoint.champion is None else endpoint.champion.inputs.key
    return {column.name: samples[column.kind] for column in key}


def _get(summary: str, media_type: str) -> dict[str, Any]:
    responses = {"200": {"description": "It does.", "content": {media_type: {}}}} | {
        status: {"description": _ERRORS[status]} for status in ("401", "404", "503")
    }
    return {"get": {"summary": summary, "responses": responses}}


def _post(
    summary: str, schema: dict[str, Any], example: dict[str, Any], answer: dict[str, Any], *, csv: bool = False
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema, "example": example}}
    if csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    responses = {"200": {"description": "The predictions.", "content": {"application/json": {"schema": answer}}}} | {
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in _ERRORS.items()
    }
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": responses}}
