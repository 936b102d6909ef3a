"""Requests -> value types, value types -> answers. The one place that knows the wire form."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import current_app, json, request

from image_search.api.auth import Keys
from image_search.api.body import is_multipart, is_picture_body, json_body, json_object, whole_body
from image_search.api.problems import UnknownParameters
from image_search.config import Settings
from image_search.errors import ImageTooLarge, InvalidParameter
from image_search.metadata.words import MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES
from image_search.services.answer import SearchAnswer, describe_record
from image_search.types import ImageRecord, Job, JsonScalar

_NUMBERS = frozenset({"top_k", "offset", "min_score", "ef", "nprobe"})
"""Parameters that are numbers: a query string has only texts, and a title may well be 2020."""
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)


@dataclass(frozen=True)
class Submission:
    """A request's picture input, if any, and its other parameters, not yet checked."""

    image: bytes | None
    params: dict[str, Any]
    file_name: str = ""
    """What a multipart upload calls its picture, without folders; shown to people, never opened."""


def read_submission(allowed: Iterable[str]) -> Submission:
    """The current request in any of its forms: multipart, raw body, JSON.

    Raises InvalidParameter (malformed, two pictures, unknown parameters: each named), ImageTooLarge, UnsupportedFormat.
    """
    if is_multipart():
        submission = _from_multipart()
    elif is_picture_body():
        scalars: dict[str, Any] = {key: _scalar(key, value) for key, value in _single_values(request.args).items()}
        submission = Submission(_limited(whole_body()), scalars)
    else:
        params = dict(json_body())
        params |= _query_collection(params)
        encoded = params.pop("image", None)
        submission = Submission(None if encoded is None else _from_base64(encoded), params)
    params = submission.params
    # The old form carries the key in the body; auth has read it there.
    params.pop("key", None)
    known = set(allowed) | {"collection"}
    if unknown := sorted(set(params) - known):
        raise UnknownParameters(unknown, f"unknown; known are {', '.join(sorted(known))}")
    return submission


def collection_of(params: Mapping[str, Any]) -> str:
    """The collection that a request names, else the configured one."""
    settings: Settings = current_app.extensions["settings"]
    return text(params, "collection", max_bytes=64) or settings.library.collection


def integer(params: Mapping[str, Any], name: str) -> int | None:
    """A whole number, None where it is absent. Raises InvalidParameter."""
    value = params.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidParameter(name, f"must be a whole number, not {_shown(value)}")


def number(params: Mapping[str, Any], name: str) -> float | None:
    """A finite number, None where it is absent. Raises InvalidParameter."""
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    raise InvalidParameter(name, f"must be a number, not {_shown(value)}")


def text(params: Mapping[str, Any], name: str, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """A text, "" where it is absent. Raises InvalidParameter."""
    value = params.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise InvalidParameter(name, f"must be a text, not {_shown(value)}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidParameter(name, "must be valid Unicode") from error
    if size > max_bytes:
        raise InvalidParameter(name, f"has {size:,} bytes; at most {max_bytes:,} are accepted")
    return value


def tags(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The list `tags`, without doubles. Raises InvalidParameter."""
    value = params.get("tags")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_TAGS:
        raise InvalidParameter("tags", f"must be a list of at most {MAX_TAGS} texts")
    if None in value:
        raise InvalidParameter("tags", "must be texts, not None")
    return tuple(dict.fromkeys(text({"tags": tag}, "tags", max_bytes=MAX_TAG_BYTES) for tag in value if tag != ""))


def fields(params: Mapping[str, Any]) -> dict[str, JsonScalar]:
    """The owner's own `fields`. Raises InvalidParameter."""
    value = params.get("fields")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(_is_plain(v) for v in value.values()):
        raise InvalidParameter("fields", "must be an object of texts, numbers (of 64 bits), true, false and null")
    text({"fields": json.dumps(value, ensure_ascii=False)}, "fields")
    return value


def one_of(params: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    """One of the choices, the first where it is absent. Raises InvalidParameter."""
    value = params.get(name, choices[0])
    if value not in choices:
        raise InvalidParameter(name, f"must be one of {', '.join(choices)}, not {_shown(value)}")
    return str(value)


def base_url() -> str:
    """Where this service is known: `public_url`, else what the request (and as many proxies as trusted) says."""
    settings: Settings = current_app.extensions["settings"]
    return (settings.http_server.public_url or request.host_url).rstrip("/")


def picture_urls(image_id: str, collection: str) -> dict[str, str]:
    """Absolute, signed URLs of the original and the thumbnail."""
    keys: Keys = current_app.extensions["keys"]
    base = f"{base_url()}/images/{image_id}"
    suffix = f"&collection={quote(collection)}" if collection != _default_collection() else ""
    return {
        "url": f"{base}/file?sig={keys.sign(image_id)}{suffix}",
        "thumbnail_url": f"{base}/thumbnail?sig={keys.sign(image_id)}{suffix}",
    }


def search_answer(answer: SearchAnswer) -> dict[str, Any]:
    """The answer to a search, with the flat fields of the older interface."""
    body = {"ok": True, **answer.as_dict()}
    for place, result in enumerate(body["results"], 1):
        result |= picture_urls(result["id"], answer.collection)
        if place <= 5:
            body[f"image{place}"] = result["url"]
    timing = answer.timing_ms
    body["embedding_time"] = round(timing["decode"] + timing["embed"], 3)
    body["search_time"] = timing["search"]
    return body


def image_document(record: ImageRecord, collection: str) -> dict[str, Any]:
    """A stored picture."""
    return {"id": record.image_id, **describe_record(record), **picture_urls(record.image_id, collection)}


def job_document(job: Job) -> dict[str, Any]:
    """A job and how far it is."""
    return {
        "id": job.job_id,
        "kind": job.kind,
        "state": job.state,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "rate": round(job.rate, 2),
        "eta_s": None if job.eta_s is None else round(job.eta_s, 1),
        "error": job.error or None,
        "url": f"{base_url()}/jobs/{job.job_id}",
    }


def _default_collection() -> str:
    settings: Settings = current_app.extensions["settings"]
    return settings.library.collection


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        # 1e999 is valid JSON, and infinity once it is read.
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str)


def _from_multipart() -> Submission:
    pictures = request.files.getlist("image")
    if len(pictures) > 1:
        raise InvalidParameter("image", "was given more than once")
    if "image" in request.form:
        raise InvalidParameter("image", "must be a file part (base64 belongs into a JSON body)")
    if others := sorted((set(request.files) | set(request.form)) - {"image", "params"}):
        raise InvalidParameter(others[0], "unknown part; known are image (a file) and params (JSON)")
    # A browser's Blob and curl's `-F params=@file` come as a file part, a plain field does not.
    given = [field.encode() for field in request.form.getlist("params")]
    given += [part.read() for part in request.files.getlist("params")]
    if len(given) > 1:
        raise InvalidParameter("params", "was given more than once")
    params = json_object(given[0], "params") if given and given[0] else {}
    if "image" in params:
        raise InvalidParameter("image", "must be a file part (base64 belongs into a JSON body)")
    params |= _query_collection(params)
    if not pictures:
        return Submission(None, params)
    file_name = re.split(r"[/\\]", pictures[0].filename or "")[-1]
    return Submission(_limited(pictures[0].read()), params, file_name[:255])


def _query_collection(params: Mapping[str, Any]) -> dict[str, str]:
    named = _single_values(request.args)
    if unknown := sorted(set(named) - {"collection"}):
        raise InvalidParameter(unknown[0], "unknown in the query string; give it in the body")
    if "collection" in named and params.get("collection", named["collection"]) != named["collection"]:
        raise InvalidParameter("collection", "was given twice, differently")
    return named


def _single_values(values: Any) -> dict[str, str]:
    single = {}
    for key, given in values.lists():
        if len(given) > 1:
            raise InvalidParameter(key, "was given more than once")
        single[key] = given[0]
    return single


def _from_base64(encoded: Any) -> bytes:
    if not isinstance(encoded, str):
        raise InvalidParameter("image", f"must be a base64 text, not {_shown(encoded)}")
    match = _DATA_URI.match(encoded)
    try:
        # Line breaks are allowed by MIME and come from many encoders; anything else that is foreign is an error.
        plain = re.sub(r"\s+", "", encoded[match.end() if match else 0 :])
        return _limited(base64.b64decode(plain, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter("image", "is not valid base64") from error


def _limited(data: bytes) -> bytes:
    settings: Settings = current_app.extensions["settings"]
    limit = settings.http_server.max_image_bytes
    if len(data) > limit:
        raise ImageTooLarge(f"picture has {len(data):,} bytes; at most {limit:,} are accepted")
    return data


def _scalar(name: str, value: str) -> JsonScalar:
    """A query-string value as JSON would have it: a number where one is wanted and given, else the text itself."""
    if name not in _NUMBERS:
        return value
    if re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        return int(value)
    return float(value) if re.fullmatch(r"-?\d{1,18}\.\d{1,18}", value, re.ASCII) else value


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
