"""Keys and signed picture URLs. Everything secret is compared in constant time."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flask import current_app, request

from image_search.api import tickets
from image_search.api.body import is_file_body, is_multipart, json_body
from image_search.api.problems import AuthError
from image_search.config import Settings
from image_search.errors import ConfigError, InvalidInput

Role = Literal["user", "admin"]

ADMIN_KEY_FILE = "admin.key"
_SIGNING_KEY_FILE = "signing.key"
MIN_SIGNING_KEY = 32
_DAY_S = 86_400
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


@dataclass(frozen=True)
class Keys:
    """The keys in force."""

    user: str = field(repr=False)
    """"" = search is open."""
    admin: str = field(repr=False)
    metrics: str = field(repr=False)
    """Opens /metrics and nothing else; "" = there is none."""
    signing: bytes = field(repr=False)
    admin_key_file: Path | None
    """Where the admin key is kept when it was made here; None when it was configured."""

    def role_of(self, key: str) -> Role | None:
        """The role that a key gives, None where it gives none; no key gives none, whatever a key file holds."""
        if not key:
            return None
        if _same(key, self.admin):
            return "admin"
        return "user" if self.user and _same(key, self.user) else None

    def sign(self, text: str) -> str:
        """A signature of today, which stays the same for the day."""
        return self._signature(text, int(time.time()) // _DAY_S)

    def verify(self, text: str, signature: str) -> bool:
        """Whether it was made today or yesterday."""
        today = int(time.time()) // _DAY_S
        # Both are always computed: the time must not tell which one was near.
        return any([_same(signature, self._signature(text, day)) for day in (today, today - 1)])  # noqa: C419

    def _signature(self, text: str, day: int) -> str:
        digest = hmac.digest(self.signing, f"{day}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def load_keys(settings: Settings) -> Keys:
    """The configured keys; what is not configured is made at the first start and kept in 0600 files.

    Raises ConfigError where two keys are the same, or one that signs is short.
    """
    security = settings.security
    if security.metrics_key and any(_same(security.metrics_key, k) for k in (security.user_key, security.admin_key)):
        raise ConfigError("security.metrics_key must differ from the other keys")
    if 0 < len(security.signing_key) < MIN_SIGNING_KEY:
        raise ConfigError(
            f"security.signing_key has {len(security.signing_key)} characters: {MIN_SIGNING_KEY} or more are expected"
        )
    if security.user_key and _same(security.user_key, security.admin_key):
        raise ConfigError("security.user_key and security.admin_key must differ")
    file = settings.data_dir / ADMIN_KEY_FILE
    signing = (security.signing_key or _read_or_make(settings.data_dir / _SIGNING_KEY_FILE)).encode()
    if security.admin_key:
        return Keys(security.user_key, security.admin_key, security.metrics_key, signing, None)
    return Keys(security.user_key, _read_or_make(file), security.metrics_key, signing, file)


def presented_key() -> str:
    """The key in the current request's headers: Authorization: Bearer, or X-API-Key."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("X-API-Key", "")


def check_role(role: Role) -> None:
    """Raises AuthError: 401 where no valid key came, 403 where a user's key came for an admin's work."""
    keys: Keys = current_app.extensions["keys"]
    if role == "user" and not keys.user:
        return
    # A body is read where no header has a key, and not else: it may be large.
    found = keys.role_of(presented_key() or _key_in_body())
    if found is None:
        raise AuthError(401, "This needs a valid key.")
    if role == "admin" and found != "admin":
        raise AuthError(403, "This needs the admin key.")


def check_signature(image_id: str) -> None:
    """The same for role "user", but an <img> sends no header: the URL that an answer gave carries its permission."""
    keys: Keys = current_app.extensions["keys"]
    if not keys.verify(image_id, request.args.get("sig", "")):
        check_role("user")


def check_ticket(collection: str) -> None:
    """The same for role "admin", but a link that is followed sends no header: it carries a ticket, for a few minutes.

    Raises AuthError.
    """
    keys: Keys = current_app.extensions["keys"]
    ticket = request.args.get("ticket", "")
    if not ticket:
        check_role("admin")
    elif not tickets.is_good(ticket, collection, keys.signing):
        raise AuthError(401, "This link is too old, or none of this service: ask for a new one.")


def check_local() -> None:
    """The same for role "admin", but whoever is on this machine needs no key, and the metrics key does too."""
    # The peer itself: a proxy that is trusted has its place in remote_addr taken by what it forwards, and one that is
    # not trusted shows by the headers that it adds.
    peer = request.environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR", request.remote_addr)
    forwarded = any(name in request.headers for name in _FORWARDED)
    if not forwarded and _is_loopback(peer or ""):
        return
    keys: Keys = current_app.extensions["keys"]
    if not (keys.metrics and _same(presented_key(), keys.metrics)):
        check_role("admin")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _key_in_body() -> str:
    # The older interface posts all it has to say.
    if request.method != "POST" or is_multipart() or is_file_body():
        return ""
    try:
        key = json_body().get("key", "")
    except InvalidInput:
        # Who has no key is told that first, not what is wrong with the body.
        return ""
    return key if isinstance(key, str) else ""


def _same(one: str, other: str) -> bool:
    # JSON can hold half of a surrogate pair, which is no UTF-8.
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))


def _read_or_make(path: Path) -> str:
    """The secret in the file; made, readable by its owner only, where there is none. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the secret {path.name} in the data folder cannot be read or made") from error
    if not secret:
        raise ConfigError(f"the secret {path.name} in the data folder is empty: delete the file, and one is made")
    return secret


def _make_secret(path: Path) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
        # A link, unlike a rename, never replaces the key that another process made first.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
