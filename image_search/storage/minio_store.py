"""An image store in a bucket of MinIO or any other S3 server: the one importer of minio."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioAdminException, MinioException, S3Error, ServerError

from image_search.errors import ConfigError, ImageNotFound, ImageStoreError
from image_search.interfaces import Keeping, OriginalsMode
from image_search.storage.keys import check_key

_ABSENT = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
_RETRYABLE = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "RequestTimeout",
    "OperationAborted", "XMinioServerNotInitialized",
}  # fmt: skip
_KEYS = "check storage.access_key and storage.secret_key, and what they may do in the bucket"
_REASONS: Final[Mapping[str, str]] = {
    "AccessDenied": _KEYS,
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "AuthorizationHeaderMalformed": "check storage.region",
    "RequestTimeTooSkewed": "this machine's clock and the server's differ",
    "NoSuchBucket": "the bucket is gone, and what was in it: restore it, or make an empty one of that name",
    "InvalidBucketName": "check storage.bucket",
}
"""What a person can do about the codes that a server may give again and again."""
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"}
_PART_BYTES = 16 * 2**20
"""Larger objects go up in parts of that size, and appear when the last one is there."""


class _Retry(urllib3.Retry):
    """Again after a connection that was refused or broke, never after a wait in vain: that would double the wait."""

    def increment(self, *args: Any, **kwargs: Any) -> _Retry:
        error = kwargs.get("error")
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            raise error
        return super().increment(*args, **kwargs)


class MinioImageStore:
    """Objects in one private bucket, which is made at first use, be it a read.

    The client is thread-safe but not process-safe: make the store after a fork.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        *,
        access_key: str,
        secret_key: str,
        region: str,
        secure: bool,
        timeout_s: float,
        ca_file: str = "",
        public_endpoint: str = "",
        url_expiry_s: int = 900,
    ) -> None:
        """`public_endpoint`: http(s)://host:port by which browsers reach the server, where that is another address.

        Raises ConfigError.
        """
        self._bucket = bucket
        self._region = region
        self._lock = threading.Lock()
        self._bucket_ready = False
        if not 1 <= url_expiry_s <= 7 * 86_400:
            raise ConfigError(f"storage.url_expiry_s = {url_expiry_s}: 1 to 604800 (seven days) is expected")
        self._url_expiry_s = url_expiry_s
        if ca_file and not Path(ca_file).is_file():
            raise ConfigError(f"storage.ca_file = {ca_file!r}: no such file")
        # The SDK's own pool waits five minutes; a service must answer before that.
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(timeout_s, 3.0), read=timeout_s),
            maxsize=16,
            ca_certs=ca_file or None,
            retries=_Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), raise_on_status=False),
        )
        options: dict[str, Any] = {"access_key": access_key, "secret_key": secret_key, "region": region}
        try:
            self._client = Minio(endpoint, secure=secure, http_client=pool, **options)
        except ValueError as error:
            raise ConfigError(f"storage.endpoint = {endpoint!r}: must be host:port ({error})") from error
        # A signature is over the host's name: it takes a client of its own, which asks nobody anything.
        self._signer = self._client
        if public_endpoint:
            found = re.fullmatch(r"(https?)://([^/]+)/?", public_endpoint)
            try:
                if found is None:
                    raise ValueError("no scheme, or a path")
                self._signer = Minio(found[2], secure=found[1] == "https", **options)
            except ValueError as error:
                raise ConfigError(
                    f"storage.public_endpoint = {public_endpoint!r}: must be http(s)://host:port ({error})"
                ) from error

    def presigned_url(self, key: str) -> str:
        """Address at which anybody can read the object, for half to all of `url_expiry_s`; asks no server.

        It stays the same for half of that time, so that browsers need not fetch a picture twice.
        """
        check_key(key)
        half_s = max(self._url_expiry_s // 2, 1)
        now_s = int(datetime.now(UTC).timestamp())
        with _translate_errors():
            return self._signer.presigned_get_object(
                self._bucket,
                key,
                expires=timedelta(seconds=self._url_expiry_s),
                request_date=datetime.fromtimestamp(now_s - now_s % half_s, UTC),
            )

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store the object, a large one in parts: all of it or nothing."""
        check_key(key)
        self._ensure_bucket()
        with _translate_errors():
            self._client.put_object(
                self._bucket, key, io.BytesIO(data), len(data), content_type=content_type, part_size=_PART_BYTES
            )

    def put_file(self, key: str, path: Path, content_type: str, mode: OriginalsMode) -> None:
        """Upload the file; ConfigError for any mode but copy."""
        check_key(key)
        if mode != "copy":
            raise ConfigError(f"ingest.originals = {mode}: only copy is possible with an S3 server")
        self._ensure_bucket()
        with _translate_errors():
            self._client.fput_object(self._bucket, key, str(path), content_type=content_type, part_size=_PART_BYTES)

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises ImageNotFound."""
        check_key(key)
        self._ensure_bucket()
        with _translate_errors():
            response = self._client.get_object(self._bucket, key)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        check_key(key)
        self._ensure_bucket()
        try:
            with _translate_errors():
                self._client.stat_object(self._bucket, key)
        except ImageNotFound:
            return False
        return True

    def keeping(self, key: str, beside: Path | None) -> Keeping:
        """Whether there is an object: it is never a reference."""
        return "kept" if self.exists(key) else "missing"

    def delete(self, key: str) -> None:
        """Remove the object; S3 answers the same for an absent one."""
        check_key(key)
        self._ensure_bucket()
        with contextlib.suppress(ImageNotFound), _translate_errors():
            self._client.remove_object(self._bucket, key)

    def iter_keys(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """Keys that begin with `prefix` and come after `after`, sorted as S3 lists them."""
        self._ensure_bucket()
        with _translate_errors():
            items = self._client.list_objects(self._bucket, prefix=prefix, recursive=True, start_after=after or None)
            for item in items:
                # Not every server keeps to `start_after`: rclone lists all where no key comes after it.
                if item.object_name is not None and item.object_name > after:
                    yield item.object_name

    def ping(self) -> None:
        """Return when the server answers for the bucket."""
        self._ensure_bucket()
        with _translate_errors():
            there = self._client.bucket_exists(self._bucket)
        if not there:
            raise _refusal("NoSuchBucket")

    def _ensure_bucket(self) -> None:
        with self._lock:
            if self._bucket_ready:
                return
            with _translate_errors():
                try:
                    there = self._client.bucket_exists(self._bucket)
                except ValueError as error:
                    raise ConfigError(f"storage.bucket = {self._bucket!r}: {error}") from error
                if not there:
                    try:
                        self._client.make_bucket(self._bucket, location=self._region)
                    except (S3Error, InvalidResponseError):
                        # Another worker was first, as each server says in its own way.
                        if not self._client.bucket_exists(self._bucket):
                            raise
            self._bucket_ready = True


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        raise _refusal(error.code or "") from error
    except InvalidResponseError as error:
        # Of a server that calls its XML text/xml the SDK tells the body only.
        code = re.search(r"<Code>(\w+)</Code>", str(error))
        if code is None:
            raise ImageStoreError("the S3 server gave an invalid answer", retryable=True) from error
        raise _refusal(code[1]) from error
    except ServerError as error:
        raise ImageStoreError("the S3 server gave an invalid answer", retryable=True) from error
    except (MinioException, MinioAdminException) as error:
        raise ImageStoreError(f"the S3 client failed: {type(error).__name__}") from error
    except urllib3.exceptions.HTTPError as error:
        raise ImageStoreError("the S3 server cannot be reached", retryable=True) from error
    except OSError as error:
        raise ImageStoreError(f"the file cannot be read: {error.strerror}") from error


def _refusal(code: str) -> ImageNotFound | ImageStoreError:
    """Our error for a code of the server's."""
    if code in _ABSENT:
        return ImageNotFound("there is no stored file for that id")
    if code in _FULL:
        return ImageStoreError(f"the S3 server has no room left: {code}", retryable=True)
    reason = f" ({_REASONS[code]})" if code in _REASONS else ""
    return ImageStoreError(f"the S3 server refused: {code}{reason}", retryable=code in _RETRYABLE)
