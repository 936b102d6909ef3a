"""A collection of texts alone, by likeness of meaning: TF-IDF and truncated SVD, or a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from image_search.errors import InvalidParameter
from image_search.interfaces import FloatArray, TextEncoder

DIM = 128
"""Numbers of a text's vector: of the 100 to 300 that are usual for latent semantic analysis, those that are fast."""
TEXTS_PER_NUMBER = 8
MIN_DIM = 8
"""Of a smaller collection the words themselves are compared: too few stand together to learn from."""
MAX_WORDS = 50_000
MAX_CHARACTERS = 100_000
"""Words, and groups of characters, that are told apart: the most frequent ones."""


@dataclass(frozen=True, slots=True)
class TextHit:
    """One text that was found."""

    row: int
    """Its place in the collection."""
    text: str
    score: float
    """Cosine similarity."""


class TextCollection:
    """Texts and their vectors. Safe to search from several threads."""

    def __init__(self, texts: Sequence[str], encoder: TextEncoder | None = None) -> None:
        """Makes a vector of each text, by the encoder where one is given, else by latent semantic analysis.

        Raises InvalidParameter where there is no text, or one is no str; EmbedderError.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InvalidParameter("texts", "must be a list of texts")
        if not any(text.strip() for text in texts):
            raise InvalidParameter("texts", "there is no text among them")
        self.texts = tuple(texts)
        self._encoder = encoder or LatentSemantics(self.texts)
        self._vectors = self._encoder.encode(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def search(self, text: str, *, top_k: int = 10) -> list[TextHit]:
        """The texts most like one, best first; those that have nothing in common with it are left out."""
        if top_k < 1:
            raise InvalidParameter("top_k", f"must be at least 1, not {top_k}")
        scores = self._vectors @ self._encoder.encode([text])[0]
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [TextHit(int(row), self.texts[row], float(scores[row])) for row in best if scores[row] > 0]


class LatentSemantics:
    """`interfaces.TextEncoder` that learns from the texts themselves: TF-IDF, then truncated SVD. Needs no download.

    Words carry the meaning; groups of characters within them let inflected forms meet, and texts in scripts without
    spaces be compared at all.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn from these. Raises InvalidParameter where none of them has a letter or a digit."""
        words = TfidfVectorizer(sublinear_tf=True, strip_accents="unicode", max_features=MAX_WORDS)
        groups = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 4),
            sublinear_tf=True,
            strip_accents="unicode",
            max_features=MAX_CHARACTERS,
        )
        self._tfidf = FeatureUnion([("words", words), ("groups", groups)], transformer_weights={"groups": 0.5})
        try:
            weights = self._tfidf.fit_transform(texts)
        except ValueError:
            # No word of two letters is among them: the groups alone.
            self._tfidf = FeatureUnion([("groups", groups)])
            try:
                weights = self._tfidf.fit_transform(texts)
            except ValueError as error:
                raise InvalidParameter("texts", "none of them has a letter or a digit") from error
        # Numbers that are hardly fewer than the texts bring none of them together.
        dim = min(DIM, weights.shape[0] // TEXTS_PER_NUMBER, weights.shape[1] - 1)
        self._svd = TruncatedSVD(dim, random_state=2026).fit(weights) if dim >= MIN_DIM else None
        self._dim = weights.shape[1] if self._svd is None else dim

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) unit rows; zeros for a text that shares nothing with those it learned from."""
        if not texts:
            return np.zeros((0, self._dim), np.float32)
        weights = self._tfidf.transform(texts)
        vectors = self._svd.transform(weights) if self._svd is not None else weights.toarray()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(np.where(norms > 1e-9, vectors / np.maximum(norms, 1e-9), 0), dtype=np.float32)
