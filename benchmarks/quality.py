"""Retrieval quality on Caltech-101's classes and recall of the index, through the command line, by projection.

python -m benchmarks quality
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from benchmarks.report import MOBILENET, publish, unpacked

WANTED = {"precision@1": 0.85, "mAP": 0.62}
"""For MobileNetV2 without a projection; a PCA to 256 must not be below what none reaches in the same run."""


def main(_arguments: Sequence[str]) -> None:
    """Evaluate MobileNetV2 with each projection."""
    rows: list[dict[str, Any]] = []
    for projection in ("none", "pca:256", "pca:128", "pca:64", "random:256"):
        with tempfile.TemporaryDirectory(prefix="bench-quality-") as data_dir:
            command = [sys.executable, "-m", "image_search", "--data-dir", data_dir]
            command += ["--set", f"embedding.model={MOBILENET}", "--set", f"embedding.projection={projection}"]
            command += ["evaluate", str(unpacked("caltech")), "--exclude", "BACKGROUND_Google", "--json"]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        if projection == "none":
            wanted = WANTED
        elif projection == "pca:256":
            wanted = {"precision@1": rows[0]["precision@1"], "mAP": rows[0]["mAP"]}
        else:
            wanted = {"precision@1": "-", "mAP": "-"}
        rows.append(
            {
                "projection": projection,
                "pictures": found["images"],
                "precision@1": found["precision_at_1"],
                "wanted p@1": wanted["precision@1"],
                "precision@10": found["precision_at_10"],
                "mAP": found["map"],
                "wanted mAP": wanted["mAP"],
                "recall@10": found["recall_at_10"],
            }
        )
    publish("quality", "Retrieval on 50 classes of Caltech-101, MobileNetV2, each picture against all others", rows)
