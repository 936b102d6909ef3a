"""@operation: a route with its role, its body's forms and all its answers, for Flask and for /openapi.json alike.

flask-openapi3 collects the documents. Its own reading of requests is not used: it would check the body before the key,
take the last of two equal members of a JSON object, and know one form of body for each route.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from flask import request
from flask.typing import ResponseReturnValue
from flask_openapi3 import APIBlueprint, validate_request
from flask_openapi3.models import OPENAPI3_REF_TEMPLATE, Schema
from pydantic import BaseModel

from image_search.api import wire
from image_search.api.auth import check_local, check_role, check_signature, check_ticket
from image_search.api.schemas.base import Request
from image_search.api.schemas.problem import Problem

Role: TypeAlias = Literal["open", "user", "admin", "signed", "ticket", "local"]
"""Who may: everybody; who has the user's key, where one is set; the administrator; who has a signed URL, or user; who
has a link with a ticket, or the administrator; who is on this machine, or the administrator."""
Cost: TypeAlias = Literal["none", "request", "picture"]
"""What `limits` counts: nothing; a request; one with pictures to decode and embed, of which only so many go at once."""
Content: TypeAlias = Mapping[str, Any]
"""A response object of OpenAPI, where an answer is no JSON."""
View: TypeAlias = Callable[..., ResponseReturnValue]

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The user's or the administrator's key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same, in another header."},
}
_PATH_PARAMETERS = {
    "image_id": "SHA-256 of the picture's bytes: 64 lowercase hex digits.",
    "job_id": "Id of the job.",
}
_HEADERS: Mapping[int, dict[str, Any]] = {
    202: {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}},
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def operation(
    blueprint: APIBlueprint,
    method: Literal["get", "post", "patch", "delete"],
    rule: str,
    *,
    role: Role,
    answers: Mapping[int, type[BaseModel] | Content],
    problems: Sequence[int] = (),
    body: type[Request] | None = None,
    params: type[Request] | None = None,
    query: type[Request] | None = None,
    upload: Content | None = None,
    cost: Cost = "none",
    many: bool = False,
    optional_body: bool = False,
    **options: Any,
) -> Callable[[View], View]:
    """Serve the view under `rule`: the key is checked first, then what came in, which the view gets as `body`, `query`.

    `params`: the body comes in any of the three forms, and this is its multipart part of that name; with `many`, in a
    form with several pictures or as JSON. `upload`: what the view itself reads of the body. `problems`: the statuses
    that come beside those that follow from the rest.
    """
    forms: tuple[wire.Form, ...] = ("json", "multipart") if many else wire.ANY_FORM if params else ("json",)

    def wrap(function: View) -> View:
        def view(**values: Any) -> ResponseReturnValue:
            if role == "signed":
                check_signature(values["image_id"])
            elif role == "ticket":
                check_ticket(wire.collection_of(request.args.get("collection")))
            elif role == "local":
                check_local()
            elif role != "open":
                check_role(role)
            if query is not None:
                values["query"] = wire.read_query(query)
            if body is not None:
                values["body"] = wire.read_body(body, forms, many=many, alone=query is not None)
            return function(**values)

        # Not functools.wraps, and no annotations: flask-openapi3 would check requests by them.
        view.__annotations__ = {}
        view.__name__, view.__doc__, view.__module__ = function.__name__, function.__doc__, function.__module__
        view.cost = cost  # type: ignore[attr-defined]
        document: dict[str, Any] = {"parameters": _path_parameters(rule)}
        if query is not None:
            document["parameters"] += _query_parameters(query)
        elif body is not None:
            document["parameters"] += _query_parameters(body, in_body=True, raw="raw" in forms)
        if body is not None:
            document["requestBody"] = {
                "content": _body_content(blueprint, body, params, merge=method == "patch", many=many),
                "required": not optional_body,
            }
        if upload is not None:
            document["requestBody"] = {"content": dict(upload), "required": True}
        responses: dict[str | int | HTTPStatus, Any] = {
            status: _answer(blueprint, status, answer) for status, answer in answers.items()
        }
        for status in sorted({*problems, *_implied(method, role, body, query, cost), *((413, 415) if upload else ())}):
            responses[status] = _problem(blueprint, status)
        register = getattr(blueprint, method)
        register(
            rule,
            operation_id=function.__name__,
            responses=responses,
            security=None if role == "open" else [{name: []} for name in SECURITY_SCHEMES],
            openapi_extensions=document,
            **options,
            # Without it the library keeps a path's values to itself where no model of its own reads them.
        )(validate_request()(view))
        return function

    return wrap


def _implied(method: str, role: Role, body: type[Request] | None, query: type[Request] | None, cost: Cost) -> set[int]:
    found = {400}
    if role != "open":
        found |= {401, 503}
    if role in ("admin", "ticket", "local"):
        found.add(403)
    if body is not None or query is not None:
        found.add(422)
    if body is not None:
        found.add(415)
    if method in ("post", "patch"):
        found.add(413)
    if cost != "none":
        found.add(429)
    return found


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in re.findall(r"<(\w+)>", rule)
    ]


def _query_parameters(model: type[Request], *, in_body: bool = False, raw: bool = False) -> list[dict[str, Any]]:
    """The model's scalars; where it is a body's, the collection, and the others too if a picture may be the body."""
    found = []
    for name, schema in model.model_json_schema(ref_template=OPENAPI3_REF_TEMPLATE)["properties"].items():
        kinds = {one.get("type", "object") for one in schema.get("anyOf", (schema,))} - {"null"}
        if in_body and (kinds & {"object", "array"} or name in ("image", "key") or (name != "collection" and not raw)):
            continue
        plain = {key: value for key, value in schema.items() if key not in ("default", "title", "anyOf")}
        plain |= next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), {})
        description = str(plain.pop("description", ""))
        if in_body and name != "collection":
            description = f"Only with a picture as the whole body. {description}".strip()
        found.append({"name": name, "in": "query", "required": False, "description": description, "schema": plain})
    return found


def _body_content(
    blueprint: APIBlueprint, body: type[Request], params: type[Request] | None, *, merge: bool, many: bool
) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _component(blueprint, body)}}
    if merge:
        content["application/merge-patch+json"] = content["application/json"]
    if params is not None:
        pictures = {"type": "array", "items": _BINARY["schema"]} if many else _BINARY["schema"]
        content["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "properties": {"image": pictures, "params": _component(blueprint, params)},
                "additionalProperties": False,
            },
            "encoding": {"params": {"contentType": "application/json"}},
        }
    if params is not None and not many:
        content["image/*"] = _BINARY
    return content


def _answer(blueprint: APIBlueprint, status: int, answer: type[BaseModel] | Content) -> dict[str, Any]:
    if not isinstance(answer, type):
        return {"description": HTTPStatus(status).phrase, **answer}
    schema = _component(blueprint, answer, mode="serialization")
    found: dict[str, Any] = {
        "description": _first_line(answer),
        "content": {"application/json": {"schema": schema}},
    }
    if status in _HEADERS:
        found["headers"] = _HEADERS[status]
    return found


def _problem(blueprint: APIBlueprint, status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {"application/problem+json": {"schema": _component(blueprint, Problem, mode="serialization")}},
    }
    if status in _HEADERS:
        found["headers"] = _HEADERS[status]
    return found


def _component(
    blueprint: APIBlueprint, model: type[BaseModel], *, mode: Literal["validation", "serialization"] = "validation"
) -> dict[str, str]:
    """A reference to the model's schema, which is entered into the blueprint's."""
    schema = model.model_json_schema(ref_template=OPENAPI3_REF_TEMPLATE, mode=mode)
    for name, part in schema.pop("$defs", {}).items():
        blueprint.components_schemas[name] = Schema(**part)
    blueprint.components_schemas[model.__name__] = Schema(**schema)
    return {"$ref": OPENAPI3_REF_TEMPLATE.format(model=model.__name__)}


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]
