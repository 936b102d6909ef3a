"""Texts -> unit vectors by a sentence encoder in an ONNX file: the one importer of tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from image_search.embedding.projection import normalise
from image_search.errors import EmbedderError
from image_search.interfaces import FloatArray
from image_search.machine import available_cores

BATCH = 32
MAX_TOKENS = 512
"""Of one text, where neither the tokenizer nor the network sets a limit: what BERT's descendants take."""
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUTS = ("sentence_embedding", "text_embeds", "pooler_output", "last_hidden_state")
"""As sentence-transformers and Hugging Face's exporter name them, the one that is pooled already in front."""


class SentenceEncoder:
    """`interfaces.TextEncoder` over an ONNX network and a tokenizer.json, as Hugging Face's exporter writes them.

    What the network gives for each token is averaged over a text's own tokens.
    """

    def __init__(self, network: Path, tokenizer: Path) -> None:
        """Load both. Raises EmbedderError where one is missing or is not what it should be."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EmbedderError(
                "sentence encoders need the package tokenizers: pip install 'image-search[notebook]'"
            ) from error
        for path in (network, tokenizer):
            if not path.is_file():
                raise EmbedderError(f"{path.name!r} does not exist in {path.parent.name!r} or is no file")
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        # The library raises Exception itself.
        except Exception as error:
            raise EmbedderError(f"{tokenizer.name!r} is no tokenizer.json") from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        # onnxruntime's exceptions are made in C++ without a common base class.
        except Exception as error:
            raise EmbedderError(f"{network.name!r} cannot be loaded: it is no valid ONNX network") from error
        self._name = network.name
        self._inputs = {i.name: i.shape for i in self._session.get_inputs()}
        strange = [name for name in self._inputs if name not in _INPUTS]
        if strange or "input_ids" not in self._inputs:
            raise EmbedderError(
                f"{network.name!r} is no sentence encoder: it takes {', '.join(self._inputs)}; "
                f"input_ids, and of {', '.join(_INPUTS[1:])} what it needs, are expected"
            )
        outputs = [o.name for o in self._session.get_outputs()]
        self._output = next((name for name in _OUTPUTS if name in outputs), outputs[0])
        # An exporter may have fixed the number of tokens (CLIP: 77).
        length = self._inputs["input_ids"][1] if len(self._inputs["input_ids"]) == 2 else None
        self._fixed_tokens = length if isinstance(length, int) else None
        set_limit = self._tokenizer.truncation["max_length"] if self._tokenizer.truncation else MAX_TOKENS
        self._tokenizer.enable_truncation(self._fixed_tokens or set_limit)
        padding = self._tokenizer.padding
        self._pad_id = int(padding["pad_id"]) if padding else 0
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) unit rows, in input order; zeros for a text without a token. Raises EmbedderError."""
        # Alike in length together: a batch is as long as its longest text.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        rows = [self._encode([texts[i] for i in batch]) for batch in batches]
        if not rows:
            return np.zeros((0, self._encode(["a"]).shape[1]), np.float32)
        sorted_rows = np.concatenate(rows)
        encoded = np.empty_like(sorted_rows)
        encoded[order] = sorted_rows
        return encoded

    def _encode(self, texts: list[str]) -> FloatArray:
        # Half of a surrogate pair is no text for the tokenizer.
        clean = [text.encode(errors="replace").decode() for text in texts]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(clean)]
        length = self._fixed_tokens or max(1, *(len(ids) for ids in tokens))
        ids = np.full((len(tokens), length), self._pad_id, np.int64)
        mask = np.zeros((len(tokens), length), np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            (output,) = self._session.run([self._output], {name: feed[name] for name in self._inputs})
        except Exception as error:
            raise EmbedderError(f"{self._name!r} failed on {len(texts)} texts") from error
        vectors = _pooled(np.asarray(output, np.float32), mask)
        if vectors is None or not np.isfinite(vectors).all():
            raise EmbedderError(f"{self._name!r} gave {np.shape(output)}: no vector of finite numbers for each text")
        vectors[mask.sum(axis=1) == 0] = 0
        return normalise(vectors)


def _pooled(output: FloatArray, mask: NDArray[np.int64]) -> FloatArray | None:
    """(n, dim) of (n, dim), or of (n, tokens, dim) by the mean over a text's tokens; None of anything else."""
    if output.ndim == 2 and len(output) == len(mask):
        return output
    if output.ndim != 3 or output.shape[:2] != mask.shape:
        return None
    weights = mask[:, :, None].astype(np.float32)
    pooled: FloatArray = (output * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
    return pooled
