"""Ranked answers of a Milvus collection: by vectors and by words, within filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from image_search.errors import VectorStoreError
from image_search.filters import Filter, matches
from image_search.interfaces import FloatArray
from image_search.types import ImageRecord, SearchHit, SearchParams
from image_search.vectors.checks import MAX_WINDOW
from image_search.vectors.milvus_catalogue import OpenCollection
from image_search.vectors.milvus_connection import MilvusConnection
from image_search.vectors.milvus_filter import Expression
from image_search.vectors.milvus_reader import MilvusReader, chunks, in_ids
from image_search.vectors.milvus_schema import BM25_COLUMN, RECORD_COLUMNS, from_row, search_params

_Ranked: TypeAlias = list[tuple[float, str]]
"""(score, image_id), nearest first, ties by image_id."""
_Ask: TypeAlias = Callable[[int, str], _Ranked]
"""One query's ranks: at most so many, where an expression holds."""


class MilvusSearch:
    """Searches of opened collections; `ef` and `nprobe` are what a search takes that names none."""

    def __init__(self, connection: MilvusConnection, reader: MilvusReader, *, ef: int, nprobe: int) -> None:
        self._connection = connection
        self._reader = reader
        self._ef = ef
        self._nprobe = nprobe

    def by_vectors(
        self, opened: OpenCollection, matrix: FloatArray, params: SearchParams, where: Filter | None
    ) -> list[list[SearchHit]]:
        """Hits of (n, dim) queries; exact with FLAT."""
        said = self._reader.compile(where)
        last = params.offset + params.top_k
        # One more than asked for shows whether the last rank is shared.
        limit = min(last + 1, MAX_WINDOW)
        floor = -np.inf if params.min_score is None else params.min_score
        records: dict[str, ImageRecord] = {}
        kept: list[_Ranked] = []
        # Answers of some 60,000 rows a call: a few megabytes.
        step = max(1, min(256, 65_536 // limit))
        with_records = params.offset == 0 and min(len(matrix), step) * limit <= self._reader.max_rows
        for start in range(0, len(matrix), step):
            block = matrix[start : start + step]
            if where is not None and not said.exact:
                for query in block:
                    ask = self._asker(opened, query, params)
                    ranked = self._checked(opened, ask, last, floor, where, said, records)
                    kept.append([pair for pair in ranked[params.offset : last] if pair[0] >= floor])
                continue
            columns = RECORD_COLUMNS if with_records else []
            answers = self._ask_vectors(opened, block, limit, params, said.text, columns)
            for query, hits in zip(block, answers, strict=True):
                if with_records:
                    for i in range(len(hits)):
                        records.setdefault(hits.ids[i], from_row(hits[i]["entity"], hits.ids[i]))
                ranked = _settle_ties(self._asker(opened, query, params), said.text, _ranked(hits), last)
                kept.append([pair for pair in ranked[params.offset : last] if pair[0] >= floor])
        return [
            [SearchHit(hit.record, min(1.0, max(-1.0, hit.score))) for hit in hits]
            for hits in self._hits(opened, kept, records)
        ]

    def by_words(
        self, opened: OpenCollection, words: Sequence[str], params: SearchParams, where: Filter | None
    ) -> list[SearchHit]:
        """Hits of a query of words, by BM25."""
        said = self._reader.compile(where)
        last = params.offset + params.top_k
        query = " ".join(words)
        records: dict[str, ImageRecord] = {}

        # Milvus Lite 3 as a server counts downwards.
        sign = -1 if self._connection.capabilities().lite3 else 1

        def ask(limit: int, expression: str) -> _Ranked:
            tuning: dict[str, Any] = {"metric_type": "BM25", "params": {}}
            try:
                return _ranked(self._call(opened, [query], BM25_COLUMN, limit, tuning, expression, [])[0], sign)
            except VectorStoreError as error:
                if "NaN or Inf" in str(error):
                    # Lite divides by the mean length of no texts: there is nothing to find.
                    return []
                raise

        if where is not None and not said.exact:
            ranked = self._checked(opened, ask, last, 0.0, where, said, records)
        else:
            ranked = _settle_ties(ask, said.text, ask(min(last + 1, MAX_WINDOW), said.text), last)
        found = [pair for pair in ranked[params.offset : last] if pair[0] > 0]
        return self._hits(opened, [found], records)[0]

    def _hits(
        self, opened: OpenCollection, kept: list[_Ranked], records: dict[str, ImageRecord]
    ) -> list[list[SearchHit]]:
        missing = list({image_id for pairs in kept for _, image_id in pairs if image_id not in records})
        if missing:
            records.update(self._reader.records(opened, missing))
        # A row that was deleted since the search is no hit any more.
        return [[SearchHit(records[i], score) for score, i in pairs if i in records] for pairs in kept]

    def _checked(
        self,
        opened: OpenCollection,
        ask: _Ask,
        last: int,
        floor: float,
        where: Filter,
        said: Expression,
        records: dict[str, ImageRecord],
    ) -> _Ranked:
        """The ranks up to `last` of a filter that the expression says too weakly: each hit is looked at.

        Puts the records of the hits, and no others, into `records`.
        """
        looked_at: set[str] = set()
        limit = min(max(2 * last, 64), MAX_WINDOW)
        while True:
            ranked = ask(limit, said.text)
            new = [image_id for _, image_id in ranked if image_id not in looked_at]
            looked_at.update(new)
            found = self._reader.records(opened, new)
            records.update({i: record for i, record in found.items() if matches(where, record)})
            kept = [pair for pair in ranked if pair[1] in records]
            if len(ranked) < limit or ranked[-1][0] < floor:
                return kept
            if len(kept) >= last and (limit == MAX_WINDOW or kept[last - 1][0] > ranked[-1][0]):
                return kept
            if limit == MAX_WINDOW:
                break
            limit = min(limit * 4, MAX_WINDOW)
        # So few match that they are not among the nearest: find them first, and rank them then.
        kept = []
        for image_ids in chunks(self._reader.matching(opened, where, said), MAX_WINDOW):
            kept += ask(len(image_ids), in_ids(image_ids))
        return sorted(kept, key=_nearest_first)

    def _asker(self, opened: OpenCollection, query: FloatArray, params: SearchParams) -> _Ask:
        def ask(limit: int, expression: str) -> _Ranked:
            return _ranked(self._ask_vectors(opened, query[None], limit, params, expression, [])[0])

        return ask

    def _ask_vectors(
        self,
        opened: OpenCollection,
        queries: FloatArray,
        limit: int,
        params: SearchParams,
        expression: str,
        columns: list[str],
    ) -> Any:
        ef, nprobe = params.ef or self._ef, params.nprobe or self._nprobe
        tuning = {"metric_type": "IP", "params": search_params(opened.spec.index, limit, ef, nprobe)}
        return self._call(opened, list(queries), "embedding", limit, tuning, expression, columns)

    def _call(
        self,
        opened: OpenCollection,
        data: Sequence[Any],
        column: str,
        limit: int,
        tuning: dict[str, Any],
        expression: str,
        columns: list[str],
    ) -> Any:
        return self._connection.call(
            "search",
            opened.name,
            data,
            filter=expression,
            anns_field=column,
            limit=limit,
            output_fields=columns,
            search_params=tuning,
            **self._reader.consistency(opened),
        )


def _settle_ties(ask: _Ask, expression: str, ranked: _Ranked, last: int) -> _Ranked:
    """The ranks up to `last`, with all that share the last one, so that pages neither repeat nor omit."""
    limit = last + 1
    while len(ranked) >= limit and limit < MAX_WINDOW and ranked[last - 1][0] == ranked[-1][0]:
        limit = min(limit * 2, MAX_WINDOW)
        ranked = ask(limit, expression)
    return ranked


def _nearest_first(pair: tuple[float, str]) -> tuple[float, str]:
    return -pair[0], pair[1]


def _ranked(hits: Any, sign: int = 1) -> _Ranked:
    return sorted(((sign * d, i) for d, i in zip(hits.distances, hits.ids, strict=True)), key=_nearest_first)
