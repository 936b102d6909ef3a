"""A permission to fetch one collection's export, in a link, for as long as it takes to follow it."""

from __future__ import annotations

import hashlib

from itsdangerous import BadSignature, TimestampSigner

LIFETIME_S = 300


def make(collection: str, signing_key: bytes) -> str:
    """A ticket for a collection, good from now on for some minutes."""
    return _signer(signing_key).sign(collection.encode()).decode()


def is_good(ticket: str, collection: str, signing_key: bytes) -> bool:
    """Whether it is one of this service's, for that collection, and not too old."""
    try:
        return _signer(signing_key).unsign(ticket.encode(), max_age=LIFETIME_S) == collection.encode()
    except (BadSignature, UnicodeEncodeError):
        return False


def _signer(signing_key: bytes) -> TimestampSigner:
    # Its own salt: no signature of a picture or of a query is one of these.
    return TimestampSigner(signing_key, salt="image-search.export", key_derivation="hmac", digest_method=hashlib.sha256)
