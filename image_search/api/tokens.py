"""query.id: a query's vector, signed and good for an hour, so that a client pages without sending the picture again.

Nothing is kept on the server, and any worker that has the same signing key reads it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

import numpy as np
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner

from image_search.api.auth import Keys
from image_search.errors import InvalidParameter
from image_search.services.searching.query import QueryVector

LIFETIME_S = 3600


def encode_query(vector: QueryVector, keys: Keys) -> str:
    """The token of a query's vector."""
    head = {
        "model_id": vector.model_id,
        "projection_id": vector.projection_id,
        "image_id": vector.image_id,
        "phashes": vector.phashes,
        "low_detail": vector.low_detail,
    }
    payload = json.dumps(head, separators=(",", ":")).encode() + b"\0" + vector.vector.astype("<f4").tobytes()
    return _signer(keys).sign(base64.urlsafe_b64encode(payload).rstrip(b"=")).decode()


def decode_query(token: str, keys: Keys) -> QueryVector:
    """What the token carries. Raises InvalidParameter where it is too old, or not ours."""
    try:
        signed = _signer(keys).unsign(token.encode(), max_age=LIFETIME_S)
        text, _, numbers = base64.urlsafe_b64decode(signed + b"=" * (-len(signed) % 4)).partition(b"\0")
        head = json.loads(text)
        head["phashes"] = tuple(head["phashes"])
        return QueryVector(np.frombuffer(numbers, "<f4").astype(np.float32), **head)
    except SignatureExpired:
        raise InvalidParameter("query_id", "is too old: send the picture again") from None
    except (BadSignature, binascii.Error, ValueError, TypeError, KeyError):
        raise InvalidParameter("query_id", "is none that this service gave: send the picture again") from None


def _signer(keys: Keys) -> TimestampSigner:
    return TimestampSigner(keys.signing, salt="image-search.query", key_derivation="hmac", digest_method=hashlib.sha256)
