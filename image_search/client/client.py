"""The client: one method for each thing that the service does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from image_search.client.answers import (
    BatchInserted,
    Checked,
    CollectionInfo,
    Counts,
    DeletedImage,
    Hit,
    ImageInfo,
    Inserted,
    Job,
    JobFailure,
    SearchResult,
    Status,
)
from image_search.client.asking import (
    MAX_WINDOW,
    Changes,
    InsertOptions,
    NewImage,
    Search,
    SearchOptions,
    batch_body,
    body_with,
    check_names,
    check_sums,
    filter_text,
    given,
    insert_body,
    next_page,
    path_of,
    query_document,
)
from image_search.client.errors import (
    ApiError,
    InvalidRequest,
    JobFailed,
    JobStillRunning,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    error_of,
)
from image_search.client.http import Connection, Query, Transport
from image_search.client.pictures import Picture
from image_search.client.reading import Answer, read, read_list

A = TypeVar("A", bound=Answer)

SUMS_AT_ONCE = 1000
VECTORS_TYPE = "application/x-hdf5"


class Client:
    """A service at its address. Safe to use from several threads; close it, or use it in a `with`.

    Every method raises ClientError; see `errors` for its kinds.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str = "",
        timeout_s: float = 30,
        retries: int = 2,
        transport: Transport | None = None,
    ) -> None:
        """Opens nothing yet.

        `key`: the user's or the administrator's, where one is needed. `timeout_s`: for the connection, and for each
        piece of an answer. `retries`: how often a request is sent again where that is safe: what changes nothing,
        after every failure to get an answer; an insert or another change only where it has surely not been carried
        out. An insert that was lost may be called again by hand: the same bytes are stored once, and the second answer
        says "duplicate". `transport`: an httpx transport, for a proxy, own certificates or tests.
        Raises InvalidRequest.
        """
        self._http = Connection(base_url, key=key, timeout_s=timeout_s, retries=retries, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._http.address!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Searching

    def search(self, image: Picture | None = None, **options: Unpack[SearchOptions]) -> SearchResult:
        """The pictures most similar to one, those that words describe, or both; see SearchOptions."""
        check_names(options, SearchOptions)
        return read(SearchResult, self._http.document("POST", "/search", safe=True, body=body_with(image, options)))

    def search_all(self, image: Picture | None = None, **options: Unpack[SearchOptions]) -> Iterator[Hit]:
        """All hits from `offset` on, in pages of `top_k` (100); the picture itself is sent once.

        The service ranks no more than the best 16,384; `itertools.islice` takes fewer.
        """
        check_names(options, SearchOptions)
        return self._hits(image, options)

    def search_batch(
        self, searches: Sequence[Search], *, collection: str | None = None
    ) -> list[SearchResult | ApiError]:
        """An answer or a problem (not raised) for each search, in their order. At most `status().limits.max_queries`.

        Pictures travel in base64, a third larger: where they are many, several `search` at once are better.
        """
        body = given({"collection": collection}) | {"queries": [query_document(one) for one in searches]}
        answer = self._http.document("POST", "/search/batch", safe=True, body=body)
        return [_outcome(SearchResult, one) for one in _results(answer, len(searches))]

    def check(
        self,
        image: Picture | None = None,
        *,
        image_url: str | None = None,
        sha256: Iterable[str] | None = None,
        collection: str | None = None,
    ) -> list[Checked]:
        """Whether pictures are there already: one by itself, also nearly; any number by their SHA-256."""
        if sha256 is None:
            return self._check(body_with(image, {"image_url": image_url, "collection": collection}))
        if image is not None or image_url is not None:
            raise InvalidRequest("sha256: and a picture exclude each other")
        sums = check_sums(sha256)
        pieces = [sums[start : start + SUMS_AT_ONCE] for start in range(0, len(sums), SUMS_AT_ONCE)]
        return [one for piece in pieces for one in self._check(given({"sha256": piece, "collection": collection}))]

    # Stored pictures

    def insert(self, image: Picture | None = None, **options: Unpack[InsertOptions]) -> Inserted:
        """Store a picture with its words, see InsertOptions; the same bytes again: `status` is "duplicate"."""
        check_names(options, InsertOptions)
        return read(Inserted, self._http.document("POST", "/insert", safe=False, body=insert_body(image, options)))

    def insert_batch(self, items: Sequence[NewImage], *, collection: str | None = None) -> BatchInserted:
        """Store several, each for itself; at most `status().limits.max_items` of them, `max_request_bytes` in all."""
        answer = self._http.document(
            "POST", "/insert/batch", safe=False, query={"collection": collection}, body=batch_body(items)
        )
        results = tuple(_outcome(Inserted, one) for one in _results(answer, len(items)))
        return BatchInserted(read(Counts, answer.get("counts")), results, answer)

    def images(
        self,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002
        order: Literal["id", "newest"] | None = None,
        collection: str | None = None,
        page_size: int = 100,
    ) -> Iterator[ImageInfo]:
        """All pictures, or those that the filter lets through, in order of their ids or newest first."""
        query: Query = {
            "filter": filter_text(filter),
            "order": order,
            "collection": collection,
            "limit": page_size,
        }
        return self._listed(ImageInfo, "/images", "images", query)

    def image(self, image_id: str, *, collection: str | None = None) -> ImageInfo:
        """What is stored of a picture."""
        path = path_of("images", image_id)
        return read(ImageInfo, self._http.document("GET", path, safe=True, query={"collection": collection}))

    def random(
        self,
        n: int = 1,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002
        collection: str | None = None,
    ) -> list[ImageInfo]:
        """Pictures at random; all where there are not so many."""
        query: Query = {"n": n, "filter": filter_text(filter), "collection": collection}
        return read_list(ImageInfo, self._http.document("GET", "/images/random", safe=True, query=query), "images")

    def update(self, image_id: str, *, collection: str | None = None, **changes: Unpack[Changes]) -> ImageInfo:
        """Change the words of a picture: what is not named stays, None empties; gives it as it is now."""
        check_names(changes, Changes)
        path = path_of("images", image_id)
        query: Query = {"collection": collection}
        return read(ImageInfo, self._http.document("PATCH", path, safe=False, query=query, body=changes))

    def delete(self, image_id: str, *, permanently: bool = False, collection: str | None = None) -> None:
        """Move a picture into the trash; or remove it for good, also out of the trash."""
        query: Query = {"permanently": permanently or None, "collection": collection}
        self._http.document("DELETE", path_of("images", image_id), safe=False, query=query)

    def restore(self, image_id: str, *, collection: str | None = None) -> ImageInfo:
        """Bring a deleted picture back; one that is there is answered as it is."""
        path = path_of("images", image_id, "restore")
        return read(ImageInfo, self._http.document("POST", path, safe=False, query={"collection": collection}))

    def deleted(self, *, collection: str | None = None, page_size: int = 100) -> Iterator[DeletedImage]:
        """The pictures in the trash, in order of their ids."""
        return self._listed(DeletedImage, "/images/deleted", "images", {"collection": collection, "limit": page_size})

    def file(self, image_id: str, *, collection: str | None = None) -> bytes:
        """The original's bytes."""
        return self._http.content(path_of("images", image_id, "file"), query={"collection": collection})

    def thumbnail(self, image_id: str, *, collection: str | None = None) -> bytes:
        """A small JPEG of a picture."""
        return self._http.content(path_of("images", image_id, "thumbnail"), query={"collection": collection})

    # A collection as a file

    def export_to(self, target: Path, *, collection: str | None = None) -> int:
        """Write a collection's records and vectors into an HDF5 file, whole or not at all; gives its bytes."""
        return self._http.download("/export", target, query={"collection": collection})

    def import_from(self, source: Path, *, collection: str | None = None) -> Job:
        """The job that brings an exported file into a collection; its `result` counts what came in.

        The file is sent once: try again by hand where that is lost, what is there already changes nothing.
        """
        query = {"collection": collection, "name": source.name}
        answer = self._http.upload("/import", source, VECTORS_TYPE, query=query)
        return read(Job, answer.get("job"))

    # Jobs

    def start_indexing(
        self,
        *,
        collection: str | None = None,
        projection: str | None = None,
        index: Mapping[str, Any] | None = None,
    ) -> Job:
        """The job that makes a collection's index anew; `projection` as "pca:256", `index` as {"kind", "params"}."""
        body = given({"collection": collection, "projection": projection, "index": index})
        return read(Job, self._http.document("POST", "/indexing", safe=False, body=body).get("job"))

    def job(self, job_id: str) -> Job:
        """A job and how far it is."""
        return read(Job, self._http.document("GET", path_of("jobs", job_id), safe=True))

    def wait_for_job(
        self,
        job_id: str,
        *,
        on_progress: Callable[[Job], None] | None = None,
        poll_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Job:
        """The job when it is done; `on_progress` hears of it at every look.

        Raises JobFailed where it failed or was cancelled, JobStillRunning after `timeout_s`.
        """
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            job = self.job(job_id)
            if on_progress is not None:
                on_progress(job)
            if job.state == "done":
                return job
            if job.is_over:
                raise JobFailed(job)
            if end_s is not None and time.monotonic() + poll_s > end_s:
                raise JobStillRunning(job)
            time.sleep(poll_s)

    def jobs(self, *, page_size: int = 100) -> Iterator[Job]:
        """All jobs, newest first."""
        return self._listed(Job, "/jobs", "jobs", {"limit": page_size})

    def job_failures(self, job_id: str, *, page_size: int = 100) -> Iterator[JobFailure]:
        """What a job could not do, in the order in which it was met."""
        return self._listed(JobFailure, path_of("jobs", job_id, "failures"), "failures", {"limit": page_size})

    def retry_job(self, job_id: str) -> Job:
        """A new job that does what this one, which has ended, could not do."""
        return read(Job, self._http.document("POST", path_of("jobs", job_id, "retry"), safe=False).get("job"))

    def cancel_job(self, job_id: str) -> Job:
        """End a job before its end; the library stays as it was, but for what an import has brought in by then."""
        return read(Job, self._http.document("POST", path_of("jobs", job_id, "cancel"), safe=False))

    # The service itself

    def status(self, *, collection: str | None = None) -> Status:
        """The library, the service and its limits."""
        return read(Status, self._http.document("GET", "/status", safe=True, query={"collection": collection}))

    def collections(self) -> list[CollectionInfo]:
        """All collections of the library, sorted by name."""
        return read_list(CollectionInfo, self._http.document("GET", "/collections", safe=True), "collections")

    def is_ready(self) -> bool:
        """Whether the service is there, its model loaded and its stores open. Asks once, and does not wait."""
        try:
            self._http.document("GET", "/readyz", safe=True, retries=0)
        except (Unreachable, Unavailable):
            return False
        return True

    def _hits(self, image: Picture | None, options: Mapping[str, Any]) -> Iterator[Hit]:
        size = options.get("top_k") or 100
        page: dict[str, Any] = {**options, "top_k": min(size, MAX_WINDOW - (options.get("offset") or 0))}
        while True:
            found = read(SearchResult, self._http.document("POST", "/search", safe=True, body=body_with(image, page)))
            yield from found.results
            offset = found.page.offset + found.page.returned
            left = MAX_WINDOW - offset
            if not found.page.has_more or not found.results or left <= 0:
                return
            if found.query.id is not None:
                image = None
            page = {**next_page(page, found.query.id, offset), "top_k": min(size, left)}

    def _listed(self, cls: type[A], path: str, name: str, query: Query) -> Iterator[A]:
        cursor: str | None = None
        while True:
            answer = self._http.document("GET", path, safe=True, query={**query, "cursor": cursor})
            yield from read_list(cls, answer, name)
            cursor = answer.get("next")
            if cursor is None:
                return

    def _check(self, body: Any) -> list[Checked]:
        return read_list(Checked, self._http.document("POST", "/images/check", safe=True, body=body), "results")


def _results(answer: Mapping[str, Any], expected: int) -> list[Any]:
    found = answer.get("results")
    if not isinstance(found, list) or len(found) != expected:
        raise UnexpectedAnswer(f"a batch of {expected} came back without as many results")
    return found


def _outcome(cls: type[A], one: Any) -> A | ApiError:
    """What one item of a batch came to."""
    if isinstance(one, dict) and one.get("ok") is False:
        status = one.get("status")
        return error_of(status if isinstance(status, int) else 500, one)
    return read(cls, one)
