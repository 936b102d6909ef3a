"""BM25 over words that are counted already (pure)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

K1, B = 1.2, 0.75
"""Milvus's defaults, and Lucene's."""


def bm25_scores(query: Iterable[str], documents: Mapping[str, Counter[str]]) -> dict[str, float]:
    """The score of each document that has one of the query's words; a word asked for twice counts twice."""
    if not documents:
        return {}
    lengths = {key: words.total() for key, words in documents.items()}
    mean_length = max(sum(lengths.values()) / len(documents), 1e-9)
    scores: dict[str, float] = {}
    for word, asked in Counter(query).items():
        holders = [key for key, words in documents.items() if word in words]
        rarity = math.log(1 + (len(documents) - len(holders) + 0.5) / (len(holders) + 0.5))
        for key in holders:
            often = documents[key][word]
            damped = often * (K1 + 1) / (often + K1 * (1 - B + B * lengths[key] / mean_length))
            scores[key] = scores.get(key, 0.0) + asked * rarity * damped
    return scores
