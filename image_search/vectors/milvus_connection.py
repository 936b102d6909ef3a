"""A connection to Milvus that comes back after it was lost: the one importer of pymilvus."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

# gRPC writes into the terminal what we raise as well; it reads this as it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from pymilvus import DataType, Function, FunctionType, MilvusClient, exceptions

from image_search.errors import CollectionNotFound, ConfigError, ImageSearchError, VectorStoreError
from image_search.types import CollectionSpec
from image_search.vectors.lite_engine import LiteEngine
from image_search.vectors.milvus_schema import (
    BM25_COLUMN,
    DESCRIPTION_PROPERTY,
    WORDS_COLUMN,
    Capabilities,
    columns,
    indexes,
    to_description,
)

Meaning: TypeAlias = Literal["refused", "denied", "lost", "retry", "unloaded", "absent"]

MEANINGS: Final[Mapping[type[Exception], Meaning]] = {
    exceptions.MilvusException: "refused",
    exceptions.ParamError: "refused",
    exceptions.ConnectError: "lost",
    exceptions.MilvusUnavailableException: "lost",
    exceptions.CollectionNotExistException: "absent",
    exceptions.DescribeCollectionException: "refused",
    exceptions.PartitionAlreadyExistException: "refused",
    exceptions.IndexNotExistException: "refused",
    exceptions.AmbiguousIndexName: "refused",
    exceptions.CannotInferSchemaException: "refused",
    exceptions.SchemaNotReadyException: "refused",
    exceptions.DataTypeNotMatchException: "refused",
    exceptions.DataTypeNotSupportException: "refused",
    exceptions.DataNotMatchException: "refused",
    exceptions.SchemaMismatchRetryableException: "retry",
    exceptions.ConnectionNotExistException: "lost",
    exceptions.ConnectionConfigException: "refused",
    exceptions.PrimaryKeyException: "refused",
    exceptions.PartitionKeyException: "refused",
    exceptions.ClusteringKeyException: "refused",
    exceptions.FieldsTypeException: "refused",
    exceptions.FunctionsTypeException: "refused",
    exceptions.FieldTypeException: "refused",
    exceptions.AutoIDException: "refused",
    exceptions.InvalidConsistencyLevel: "refused",
    exceptions.ServerVersionIncompatibleException: "refused",
}
"""What each of pymilvus's exceptions means to us; a test walks its classes and fails where one is missing."""

_STATUS_MEANINGS: Final[Mapping[grpc.StatusCode, Meaning]] = {
    grpc.StatusCode.UNAVAILABLE: "lost",
    grpc.StatusCode.CANCELLED: "lost",
    grpc.StatusCode.DEADLINE_EXCEEDED: "retry",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "retry",
    grpc.StatusCode.ABORTED: "retry",
    grpc.StatusCode.UNAUTHENTICATED: "denied",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
}

_DENIED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)

_CODE_MEANINGS: Final[Mapping[int, Meaning]] = {
    1: "retry",  # the service is not ready
    2: "lost",  # CONNECT_FAILED, which is pymilvus's own
    8: "retry",  # rate limit
    100: "absent",
    101: "unloaded",
    103: "unloaded",  # not wholly
    **dict.fromkeys((500, 501, 503), "retry"),  # a channel has nobody who serves it now
    **dict.fromkeys((901, 902, 903, 904, 905), "retry"),  # a node is gone, or not there yet
}
_COMING_BACK = re.compile(
    "shard leader|shard delegator|not serviceable|node is not healthy|context canceled|context deadline exceeded|"
    "etcdserver|connection refused|connection reset",
    re.IGNORECASE,
)
"""What a server that is starting, or that lost a part of itself, says under the code of everything unforeseen."""
_LOAD_AGAIN_S = 5.0
"""A server that was killed takes up to half a minute until its collections are loaded again, by itself."""
_LEGACY_COLLECTION_NOT_EXISTS = 4

_LITE_CHANNEL: Final[Mapping[str, int]] = {
    "grpc.keepalive_time_ms": 2**31 - 1,
    "grpc.keepalive_permit_without_calls": 0,
}
"""No pings: a unix socket tells at once when the other end is gone, and the engine ends connections that ping often."""

_OLDEST = (2, 3)
_RECONNECT_PAUSE_S = 0.5
_LOAD_S = 10.0
"""Loading a collection into a server's memory takes longer than any other call."""
_LOAD_POLL_S = 0.1


class ConnectionLost(VectorStoreError):
    """Nobody answers at the other end."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class NotLoaded(VectorStoreError):
    """The server knows the collection, and cannot search it now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class MilvusConnection:
    """One client, made at first use, of a `.db` file (through `lite_engine`) or of a server by its URI."""

    def __init__(
        self, uri: str, *, token: str = "", db_name: str = "", ca_file: str = "", timeout_s: float = 30.0
    ) -> None:
        self.is_lite = uri.endswith(".db")
        if not self.is_lite and not re.match(r"https?://[^/]", uri):
            raise ConfigError(
                f"{uri!r} is no place of a vector database: "
                "a file whose name ends in .db, or http(s)://host:port, is expected"
            )
        if ca_file and not Path(ca_file).is_file():
            raise ConfigError(f"milvus.ca_file = {ca_file!r}: no such file")
        self.engine = LiteEngine(Path(uri)) if self.is_lite else None
        self._uri = uri
        self._token = token
        self._db_name = db_name
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: Any = None
        self._can: Capabilities | None = None
        self._refused_s = 0.0
        """When a connection was last tried in vain."""
        self.generation = 0
        """Grows with every new client: what was loaded through the last one may not be loaded any more."""
        self._asked_to_load_s: dict[str, float] = {}

    def call(self, method: str, *args: Any, retry_as: str | None = None, **kwargs: Any) -> Any:
        """What the client's method returns.

        After a lost connection it is called once more on a new one, or the method `retry_as` is: the first
        call may have been carried out.
        """
        kwargs.setdefault("timeout", self._timeout_s)
        client = self._connect()
        try:
            with _translate_errors():
                return getattr(client, method)(*args, **kwargs)
        except ConnectionLost:
            self._drop(client)
            if not self.is_lite:
                time.sleep(_RECONNECT_PAUSE_S)
        except NotLoaded:
            self._load_again(client, str(args[0]))
            raise
        client = self._connect()
        with _translate_errors():
            return getattr(client, retry_as or method)(*args, **kwargs)

    def _load_again(self, client: Any, name: str) -> None:
        """Have the server load a collection that somebody released, without waiting for it."""
        now_s = time.monotonic()
        if now_s - self._asked_to_load_s.get(name, -_LOAD_AGAIN_S) >= _LOAD_AGAIN_S:
            self._asked_to_load_s[name] = now_s
            with contextlib.suppress(VectorStoreError, CollectionNotFound), _translate_errors():
                client.load_collection(name, timeout=1.0)

    def capabilities(self) -> Capabilities:
        """What collections made here can have; asks the server once."""
        if self._can is None:
            # Milvus Lite 2.5.1 does not implement the question.
            self._can = Capabilities(True, True) if self.is_lite else _of_version(self._server_version())
        return self._can

    def create(self, name: str, spec: CollectionSpec) -> None:
        """Make the collection with the columns of `milvus_schema`, index it and load it."""
        can = self.capabilities()
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=to_description(spec))
        for column in columns(spec.dim, can):
            element = {"element_type": DataType.VARCHAR} if column.kind == "ARRAY" else {}
            schema.add_field(column.name, DataType[column.kind], **element, **column.params)
        if can.text:
            schema.add_function(
                Function(
                    name="words_to_bm25",
                    function_type=FunctionType.BM25,
                    input_field_names=[WORDS_COLUMN],
                    output_field_names=[BM25_COLUMN],
                )
            )
        kept: dict[str, Any] = {"properties": {DESCRIPTION_PROPERTY: to_description(spec)}} if can.lite3 else {}
        self.call("create_collection", name, schema=schema, consistency_level="Bounded", **kept)
        try:
            self.build_indexes(name, spec, can)
        except VectorStoreError:
            # Parameters that the server refuses: half a collection is worse than none.
            self.call("drop_collection", name)
            raise

    def build_indexes(self, name: str, spec: CollectionSpec, can: Capabilities) -> None:
        """Index the collection as the spec says, and load it."""
        params = MilvusClient.prepare_index_params()
        for index in indexes(spec, can):
            params.add_index(**index)
        # Waiting for an index takes pymilvus half a second each; an empty collection has nothing to wait for.
        self.call("create_index", name, params, sync=False)
        self.load(name)

    def load(self, name: str) -> None:
        """Return when the collection can be searched. Raises VectorStoreError, retryable where that takes long."""
        if self.is_lite or self.capabilities().lite3:
            self.call("load_collection", name)
            return
        # Asked for first: most often it is loaded, and a server under load takes seconds to load it once more.
        deadline_s = time.monotonic() + max(self._timeout_s, _LOAD_S)
        asked = False
        while self.call("get_load_state", name)["state"].name != "Loaded":
            if not asked:
                self.call("load_collection", name, _async=True)
                asked = True
            elif time.monotonic() > deadline_s:
                raise _ours("unloaded", "")
            time.sleep(_LOAD_POLL_S)

    def close(self) -> None:
        """Close the client, and the engine if this process runs it."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.close()
            if self.engine is not None:
                self.engine.close()

    def _connect(self) -> Any:
        client = self._client
        if client is not None:
            return client
        began_s = time.monotonic()
        with self._lock:
            client = self._client
            if client is None:
                if self._refused_s > began_s:
                    # Another thread has tried while this one waited: it need not wait as long once more.
                    raise _ours("lost", "")
                try:
                    client = self._client = self._new_client()
                except ConnectionLost:
                    self._refused_s = time.monotonic()
                    raise
                self.generation += 1
            return client

    def _new_client(self) -> Any:
        # pymilvus imports it at the first search, and fails where several threads meet there.
        if importlib.util.find_spec("scipy") is not None:
            importlib.import_module("scipy.sparse")
        # pymilvus logs with a traceback what it raises as well.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        uri = self._uri if self.engine is None else self.engine.uri()
        timeout_s = min(self._timeout_s, 10.0)
        tls = {"server_pem_path": self._ca_file} if self._ca_file else {}
        with _translate_errors():
            return MilvusClient(
                uri=uri,
                token=self._token,
                db_name=self._db_name,
                timeout=timeout_s,
                dedicated=True,
                grpc_options=dict(_LITE_CHANNEL) if self.is_lite else {},
                **tls,
            )

    def _drop(self, client: Any) -> None:
        with self._lock:
            if self._client is not client:
                return
            self._client = None
        client.close()

    def _server_version(self) -> str:
        return str(self.call("get_server_version"))


def _of_version(version: str) -> Capabilities:
    if version.startswith("milvus_lite"):
        # `milvus-lite server` 3.x: its numbers are not Milvus's, and its one type of dense vector is float.
        return Capabilities(binary_vector=False, text=True, lite3=True)
    match = re.search(r"(\d+)\.(\d+)", version)
    if match is None:
        # A development build says a commit instead of a number.
        return Capabilities(binary_vector=True, text=True)
    number = (int(match[1]), int(match[2]))
    if number < _OLDEST:
        raise VectorStoreError(f"the Milvus server is version {version}; 2.3 or newer is expected")
    return Capabilities(binary_vector=number >= (2, 4), text=number >= (2, 5), like=number >= (2, 4))


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise our exceptions from pymilvus's and gRPC's."""
    try:
        yield
    except ImageSearchError:
        raise
    except exceptions.MilvusException as error:
        raise _ours(_meaning(error), str(error.message)) from error
    except grpc.RpcError as error:
        status = error.code() if isinstance(error, grpc.Call) else None
        if status is grpc.StatusCode.UNIMPLEMENTED:
            raise VectorStoreError("this version of the vector database cannot do that") from error
        meaning: Meaning = "refused" if status is None else _STATUS_MEANINGS.get(status, "refused")
        detail = error.details() if isinstance(error, grpc.Call) else str(error)
        raise _ours(meaning, detail or str(status)) from error
    except ValueError as error:
        if "closed channel" not in str(error):
            raise
        # Another thread has dropped the client that this one was using.
        raise ConnectionLost("the vector database was lost: try again") from error


def _meaning(error: exceptions.MilvusException) -> Meaning:
    code = error.code
    if isinstance(error.__cause__, grpc.Call) and error.__cause__.code() in _DENIED:
        # pymilvus says of a wrong password what it says of a server that is not there.
        return "denied"
    if isinstance(code, grpc.StatusCode):
        return _STATUS_MEANINGS.get(code, "refused")
    if error.compatible_code == _LEGACY_COLLECTION_NOT_EXISTS:
        return "absent"
    if "closed channel" in str(error.message) or "should create connection first" in str(error.message):
        return "lost"
    by_code = _CODE_MEANINGS.get(int(code))
    if by_code is not None:
        return by_code
    if _COMING_BACK.search(str(error.message)):
        return "retry"
    by_class = next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)
    return "retry" if by_class == "refused" and error.retriable else by_class


def _ours(meaning: Meaning, detail: str) -> ImageSearchError:
    if meaning == "lost":
        return ConnectionLost(
            "the vector database does not answer: check that it runs (and speaks TLS or not, as milvus.uri says), "
            "and try again"
        )
    if meaning == "denied":
        return VectorStoreError("the vector database refused the password: check milvus.token (user:password)")
    if meaning == "unloaded":
        return NotLoaded("the vector database is loading the collection: try again")
    if meaning == "absent":
        return CollectionNotFound("no such collection in the vector database")
    # The engine adds the line of its source where it gave up: of no use to a person.
    reason = re.sub(r" at /\S+:\d+", "", " ".join(detail.split()))[:300]
    if meaning == "retry":
        return VectorStoreError(f"the vector database could not answer now: {reason}", retryable=True)
    return VectorStoreError(f"the vector database refused: {reason}")
