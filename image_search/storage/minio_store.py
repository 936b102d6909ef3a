"""An image store in a bucket of MinIO or any other S3 server: the one importer of minio."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioAdminException, MinioException, S3Error, ServerError

from image_search.errors import ConfigError, ImageNotFound, ImageStoreError
from image_search.interfaces import Keeping, OriginalsMode
from image_search.storage.keys import check_key

_ABSENT = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
_RETRYABLE = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "XMinioStorageFull"}


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
    ) -> None:
        self._bucket = bucket
        self._region = region
        self._lock = threading.Lock()
        self._bucket_ready = False
        # The SDK's own pool waits five minutes; a service must answer before that.
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(timeout_s, 3.0), read=timeout_s),
            maxsize=16,
            retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
        )
        try:
            self._client = Minio(
                endpoint,
                access_key=access_key,
                secret_key=secret_key,
                region=region,
                secure=secure,
                http_client=pool,
            )
        except ValueError as error:
            raise ConfigError(f"storage.endpoint = {endpoint!r}: must be host:port ({error})") from error

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store the object in one request: all of it or nothing."""
        check_key(key)
        self._ensure_bucket()
        with _translate_errors():
            self._client.put_object(self._bucket, key, io.BytesIO(data), len(data), content_type=content_type)

    def put_file(self, key: str, path: Path, content_type: str, mode: OriginalsMode) -> None:
        """Upload the file; ConfigError for any mode but copy."""
        check_key(key)
        if mode != "copy":
            raise ConfigError(f"ingest.originals = {mode}: only copy is possible with an S3 server")
        self._ensure_bucket()
        with _translate_errors():
            self._client.fput_object(self._bucket, key, str(path), content_type=content_type)

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
                if item.object_name is not None:
                    yield item.object_name

    def ping(self) -> None:
        """Return when the server answers for the bucket."""
        self._ensure_bucket()
        with _translate_errors():
            self._client.bucket_exists(self._bucket)

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
                    except S3Error as error:
                        # Another worker was first.
                        if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                            raise
            self._bucket_ready = True


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in _ABSENT:
            raise ImageNotFound("there is no stored file for that id") from error
        raise ImageStoreError(f"the S3 server refused: {error.code}", retryable=error.code in _RETRYABLE) from error
    except (ServerError, InvalidResponseError) as error:
        raise ImageStoreError("the S3 server gave an invalid answer", retryable=True) from error
    except (MinioException, MinioAdminException) as error:
        raise ImageStoreError(f"the S3 client failed: {type(error).__name__}") from error
    except urllib3.exceptions.HTTPError as error:
        raise ImageStoreError("the S3 server cannot be reached", retryable=True) from error
    except OSError as error:
        raise ImageStoreError(f"the file cannot be read: {error.strerror}") from error
