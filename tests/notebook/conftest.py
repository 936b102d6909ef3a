"""Whether the extra `notebook` is installed, and a sentence encoder that the tests make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("ipywidgets", "matplotlib", "nbclient", "sklearn", "tokenizers"):
    pytest.importorskip(package, reason=f"{package} (requirements-notebook.txt) is not installed")
pytest.importorskip("onnx", reason="onnx (requirements-quantise.txt) is not installed")

VOCABULARY = ("[PAD]", "[UNK]", "cat", "kitten", "dog", "puppy", "boat", "ship", "the", "a")
MEANING = {"cat": 0, "kitten": 0, "dog": 1, "puppy": 1, "boat": 2, "ship": 2}
"""Words that mean alike share an axis, which no likeness of letters tells."""


def write_encoder(folder: Path, *, pooled: bool = False, tokens: int | None = None, name: str = "input_ids") -> Path:
    """model.onnx, a table of (tokens, 4) vectors, and tokenizer.json beside it.

    `pooled`: the network averages by itself, over all tokens and their padding, as one exported so does over none.
    `tokens`: the number of tokens that it takes, any where None.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace

    table = np.zeros((len(VOCABULARY), 4), np.float32)
    for word, axis in MEANING.items():
        table[VOCABULARY.index(word), axis] = 1
    table[VOCABULARY.index("[PAD]"), 3] = 50
    last = "tokens" if pooled else "last_hidden_state"
    nodes = [helper.make_node("Gather", ["table", name], [last])]
    shape: list[str | int | None] = ["n", tokens or "t", 4]
    if pooled:
        nodes.append(helper.make_node("ReduceMax", [last], ["sentence_embedding"], axes=[1], keepdims=0))
        last, shape = "sentence_embedding", ["n", 4]
    inputs = [
        helper.make_tensor_value_info(i, TensorProto.INT64, ["n", tokens or "t"]) for i in (name, "attention_mask")
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        inputs,
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(table, "table")],
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "model.onnx"


@pytest.fixture
def encoder_file(tmp_path: Path) -> Path:
    """model.onnx with its tokenizer.json."""
    return write_encoder(tmp_path / "encoder")
