"""Rows of a Milvus collection by their ids and by filters, in order of image_id."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from image_search.filters import Filter, Not, matches, members
from image_search.interfaces import FloatArray
from image_search.types import ImageRecord
from image_search.vectors.milvus_catalogue import OpenCollection
from image_search.vectors.milvus_connection import MilvusConnection
from image_search.vectors.milvus_filter import Expression, both, compile_filter
from image_search.vectors.milvus_schema import RECORD_COLUMNS, from_row

# Lite takes time quadratic in the rows of one call for an ARRAY column: 0.11 ms a row at 128 rows, 0.58 at 1000.
_LITE_READ_ROWS, _READ_ROWS = 128, 1000
_ARRAYS = frozenset({"tags", "sources"})
_ID_PAGE = 10_000
_SESSION_S = 10.0
"""A server's Bounded reads lag by 5 s at most: for so long and longer after a write we ask for Session."""
_FILTER_COLUMNS: Mapping[str, str] = {
    "id": "image_id",
    "source_name": "sources",
    "created_at": "created_at_s",
}
"""Columns of a filter's members where the names differ."""
_AS_IT_IS: Mapping[str, str] = {}
"""No level of consistency named: what `consistency` says when the page is asked for."""


class MilvusReader:
    """Reads of opened collections. Safe to call from several threads."""

    def __init__(self, connection: MilvusConnection) -> None:
        self._connection = connection
        self._written: dict[str, deque[tuple[float, frozenset[str]]]] = {}
        self._lock = threading.Lock()

    @property
    def max_rows(self) -> int:
        """Whole rows that one call should bring."""
        return _LITE_READ_ROWS if self._connection.is_lite else _READ_ROWS

    def wrote(self, name: str, image_ids: Iterable[str]) -> None:
        """Remember that this process has just written those rows of the collection of that name."""
        now_s = time.monotonic()
        with self._lock:
            written = self._written.setdefault(name, deque())
            written.append((now_s, frozenset(image_ids)))
            while written[0][0] < now_s - _SESSION_S:
                written.popleft()

    def consistency(
        self, opened: OpenCollection, *, image_ids: Sequence[str] | None = None, latest: bool = False
    ) -> dict[str, str]:
        """The argument that makes a server's answer show what this process wrote, with `latest` what any did.

        `image_ids`: only these rows are asked for. A server waits for its time tick, 200 ms, before it shows a write
        to whoever asks for his own ones; for other rows than those there is nothing to wait for.
        """
        if self._connection.is_lite:
            return {}
        if latest:
            return {"consistency_level": "Strong"}
        since_s = time.monotonic() - _SESSION_S
        with self._lock:
            written = [rows for written_s, rows in self._written.get(opened.name, ()) if written_s >= since_s]
        own = any(not rows.isdisjoint(image_ids) for rows in written) if image_ids is not None else bool(written)
        return {"consistency_level": "Session" if own else "Bounded"}

    def compile(self, where: Filter | None) -> Expression:
        """The filter as this database can say it."""
        return compile_filter(where, lite=self._connection.is_lite, like=self._connection.capabilities().like)

    def known(self, opened: OpenCollection, image_ids: list[str], *, latest: bool = False) -> set[str]:
        """Those of the ids that exist."""
        return {row["image_id"] for row in self.rows(opened, image_ids, ["image_id"], latest=latest)}

    def records(self, opened: OpenCollection, image_ids: list[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        """The records of those ids that exist."""
        rows = self.rows(opened, image_ids, RECORD_COLUMNS, latest=latest)
        return {row["image_id"]: from_row(row, row["image_id"]) for row in rows}

    def rows(
        self, opened: OpenCollection, image_ids: list[str], columns: list[str], *, latest: bool = False
    ) -> Iterator[Any]:
        """The rows of those ids that exist, in no promised order."""
        for start in range(0, len(image_ids), self.max_rows):
            asked = image_ids[start : start + self.max_rows]
            level = self.consistency(opened, image_ids=asked, latest=latest)
            yield from self._query(opened, in_ids(asked), columns, **level)

    def count(self, opened: OpenCollection, where: Filter | None, *, latest: bool = False) -> int:
        """Number of rows that a filter holds for."""
        level = self.consistency(opened, latest=latest)
        said = self.compile(where)
        if said.exact:
            return self._count(opened, said, level)
        assert where is not None
        opposite = self.compile(Not(where))
        if opposite.exact:
            return max(self._count(opened, self.compile(None), level) - self._count(opened, opposite, level), 0)
        return sum(1 for _ in self.matching(opened, where, said, level=level))

    def matching(
        self,
        opened: OpenCollection,
        where: Filter | None,
        said: Expression,
        after: str = "",
        page: int = _ID_PAGE,
        *,
        level: Mapping[str, str] = _AS_IT_IS,
    ) -> Iterator[str]:
        """Ids after `after` that the filter holds for, ascending; `said` is the filter compiled."""
        ids = self.ids(opened, said.text, after, page, level=level)
        if where is None or said.exact:
            yield from ids
            return
        needed = {_FILTER_COLUMNS.get(member, member) for member in members(where)}
        columns = sorted({"image_id", *needed})
        step = self.max_rows if needed & _ARRAYS else _READ_ROWS
        for chunk in chunks(ids, step):
            rows = self._query(opened, in_ids(chunk), columns, **level)
            yield from sorted(row["image_id"] for row in rows if matches(where, _partial(row)))

    def ids(
        self,
        opened: OpenCollection,
        expression: str,
        after: str = "",
        page: int = _ID_PAGE,
        *,
        level: Mapping[str, str] = _AS_IT_IS,
    ) -> Iterator[str]:
        """Ids after `after`, ascending, page after page: rows written meanwhile neither shift nor repeat others."""
        if self._connection.capabilities().lite3:
            # It gives any rows where a limit cuts, not the first ones.
            said = both(f'image_id > "{after}"', expression)
            yield from sorted(row["image_id"] for row in self._query(opened, said, ["image_id"], **level))
            return
        last = after
        while True:
            said = both(f'image_id > "{last}"', expression)
            ids = sorted(row["image_id"] for row in self._query(opened, said, ["image_id"], limit=page, **level))
            yield from ids
            if len(ids) < page:
                return
            last = ids[-1]
            page = min(4 * page, _ID_PAGE)

    def list_records(self, opened: OpenCollection, where: Filter | None, after: str, limit: int) -> list[ImageRecord]:
        """The first `limit` records after an id that the filter holds for, in order of image_id."""
        said = self.compile(where)
        ids = self.matching(opened, where, said, after, page=min(limit, _ID_PAGE) if said.exact else _READ_ROWS)
        found: list[ImageRecord] = []
        while wanted := list(islice(ids, limit - len(found))):
            # Fewer come back where rows were deleted or changed since: more are taken then, or the list would
            # seem to end here.
            records = self.records(opened, wanted)
            there = [records[image_id] for image_id in wanted if image_id in records]
            found += [record for record in there if where is None or matches(where, record)]
        return found

    def iterate(
        self, opened: OpenCollection, batch_size: int, updated_since_ms: int | None, *, latest: bool = False
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row in batches of records and (n, dim) embeddings, in order of image_id."""
        since = "" if updated_since_ms is None else f"updated_at_ms >= {int(updated_since_ms)}"
        level = self.consistency(opened, latest=True) if latest else _AS_IT_IS
        for image_ids in chunks(self.ids(opened, since, level=level), batch_size):
            rows = list(self.rows(opened, image_ids, ["embedding", *RECORD_COLUMNS], latest=latest))
            if rows:
                embeddings = np.array([row["embedding"] for row in rows], np.float32)
                yield [from_row(row, row["image_id"]) for row in rows], embeddings

    def _count(self, opened: OpenCollection, said: Expression, level: Mapping[str, str]) -> int:
        return int(self._query(opened, said.text, ["count(*)"], **level)[0]["count(*)"])

    def _query(self, opened: OpenCollection, expression: str, columns: list[str], **kwargs: Any) -> Any:
        return self._connection.call("query", opened.name, expression, columns, **self.consistency(opened) | kwargs)


def in_ids(image_ids: Iterable[str]) -> str:
    """An expression for ids that `check_ids` has let through, or that Milvus has told."""
    return f"image_id in {json.dumps(list(image_ids))}"


def chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """The items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _partial(row: Mapping[str, Any]) -> ImageRecord:
    """A record of the columns that were read, bare of the others."""
    sources: Sequence[str] = row.get("sources", ())
    return ImageRecord(
        image_id=row["image_id"],
        object_key="",
        size_px=(row.get("width", 0), row.get("height", 0)),
        sources=tuple(sources),
        title=row.get("title", ""),
        tags=tuple(row.get("tags", ())),
        text=row.get("text", ""),
        fields=row.get("fields", {}),
        low_detail=row.get("low_detail", False),
        created_at_s=row.get("created_at_s", 0),
        source_url=row.get("source_url", ""),
    )
