"""Which edits of a picture are taken for it, and which other pictures are: hash and vectors, beside each alone.

python -m benchmarks near_duplicates [--models=NAME,PATH.onnx] [--queries=N] [--cache=FOLDER] [--write]

--write puts what was found into image_search/thresholds.py. The column "cross-checked" is the mean of two halves of
the pictures that are asked for, each judged by steps that were chosen with the other. The share that is caught is that
of pictures which `compact` was not trained on. What other pictures were taken is drawn in
results/near_duplicates_MODEL.png, to be looked at: those that are one picture belong in lookalikes.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.absent import cut_off, nearest
from benchmarks.edits import EDITS, LIGHT
from benchmarks.exam import EVERY_FIFTH, held_out_classes
from benchmarks.lookalikes import same_pictures, sheet
from benchmarks.report import MOBILENET, RESULTS, publish, unpacked
from benchmarks.signatures import Signatures, Signer
from image_search import thresholds
from image_search.embedding.projection import make_random, normalise
from image_search.imaging import MIN_EDGE_PX
from image_search.interfaces import FloatArray
from image_search.judging import HASH_ALONE, Thresholds, is_near_duplicate

EVERY_EIGHTH = 8
"""So many of Caltech's pictures are asked for; all of them are in the library."""
NEIGHBOURS = 10
USUAL_DISTANCE = 10
"""Most differing bits of the same picture, as users of pHash set it."""
FALSE_PER_MILLION = 1.0
_CHOSEN_FALSE = 0.75
"""What steps may be chosen with: on other pictures there will be a few more."""
CAUGHT = 0.95
IN_FIRST_TEN = 0.01

_DISTANCES = (2, 4, 6, 8, 12)
"""Where steps may be; these hashes have as many ones as zeros, so that distances are even."""
_COSINES = (0.70, 0.74, 0.78, 0.82, 0.86, 0.88, *np.round(np.arange(0.90, 0.9901, 0.005), 3), 1.01)
"""Where they may be as well; the last is out of reach: no step."""
_RANDOM = (256, 128, 64)
_NEAR = 0.94
"""Cosine from which on pairs are kept whatever their hashes say."""

Rule = Callable[[NDArray[np.int64], NDArray[np.int64], FloatArray], NDArray[np.bool_]]
"""(distances of the stored hashes, those of the query's nearest, cosines) -> which pairs are taken"""


@dataclass(frozen=True)
class Pictures:
    """A library, and which of it are asked for."""

    paths: list[Path]
    asked: NDArray[np.intp]
    unseen: NDArray[np.bool_]
    """Of those asked for: `compact` was not trained on it."""
    held_classes: set[str]
    same: Mapping[int, list[int]]
    """Other files of the same picture, by row."""

    @property
    def names(self) -> list[str]:
        """ "folder/file"."""
        return [f"{path.parent.name}/{path.name}" for path in self.paths]


@dataclass(frozen=True)
class Measured:
    """Of one model and projection: each edit with its original, and what lies near it of the rest."""

    true: Mapping[str, NDArray[np.float64]]
    """kind -> (3, asked): distance, nearest distance, cosine of an edit and its original."""
    false: NDArray[np.float64]
    """(5, pairs): distance, nearest distance, cosine, place of the one asked for, row of the other; near ones only."""
    first: NDArray[np.float64]
    """(3, edits x asked, NEIGHBOURS): distance, nearest distance, cosine of the first hits beside the original."""
    pairs: NDArray[np.int64]
    """(asked,) pairs that were looked at for each picture asked for."""


def main(arguments: Sequence[str]) -> None:
    """Measure each model, print the tables, and write the thresholds where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks near_duplicates")
    parser.add_argument("--models", default=f"compact,{MOBILENET}")
    parser.add_argument("--queries", type=int, default=0, help="pictures asked for; 0 = all that there are")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--write", action="store_true")
    options, _ = parser.parse_known_args(arguments)
    pictures = _pictures(options.queries)
    summary: list[dict[str, Any]] = []
    found: dict[str, dict[str, thresholds.Measured]] = {}
    for model in options.models.split(","):
        signer = Signer(model, options.cache)
        library = signer.sign(pictures.paths)
        edits = {kind: signer.sign([pictures.paths[row] for row in pictures.asked], kind) for kind in EDITS}
        found[signer.model_id] = {}
        for projection in ("none", *(f"random:{dim}" for dim in _RANDOM if dim < signer.raw_dim)):
            project = _projection(projection, signer)
            some = _measure(pictures, project(library), {kind: project(edit) for kind, edit in edits.items()})
            everything = np.ones(len(pictures.asked), bool)
            steps = _fit(some, pictures, everything)
            cut, passing = _cut_off(project(library).vectors, pictures)
            reached = Thresholds(steps, cut)
            if projection == "none":
                _publish_rules(signer.model_id, some, pictures, reached)
            found[signer.model_id][projection] = (steps, cut)
            summary.append(_summary(signer.model_id, projection, some, pictures, reached) | passing)
    publish("near_duplicates", "Thresholds by model and projection", summary)
    if options.write:
        _write(found)


def _pictures(asked: int) -> Pictures:
    photos, labelled = unpacked("flickr") / "images", unpacked("caltech")
    single = [path for path in sorted(photos.glob("*.jpg")) if min(Image.open(path).size) >= MIN_EDGE_PX]
    classed = sorted(labelled.rglob("*.jpg"))
    held = held_out_classes([f"{path.parent.name}/{path.name}" for path in classed])
    rows = np.array([*range(len(single)), *range(len(single), len(single) + len(classed), EVERY_EIGHTH)])
    unseen = np.zeros(len(single) + len(classed), bool)
    unseen[: len(single)][EVERY_FIFTH] = True
    unseen[len(single) :] = [path.parent.name in held for path in classed]
    if asked:
        rows = rows[np.linspace(0, len(rows) - 1, min(asked, len(rows))).astype(int)]
    paths = [*single, *classed]
    row_of = {f"{path.parent.name}/{path.name}": row for row, path in enumerate(paths)}
    same: dict[int, list[int]] = {}
    for one, other in same_pictures():
        same.setdefault(row_of[one], []).append(row_of[other])
        same.setdefault(row_of[other], []).append(row_of[one])
    return Pictures(paths, rows, unseen[rows], held, same)


def _projection(projection: str, signer: Signer) -> Callable[[Signatures], Signatures]:
    if projection == "none":
        return lambda signed: signed
    made = make_random(signer.raw_dim, int(projection.removeprefix("random:")), signer.model_id)
    return lambda signed: Signatures(normalise(made.apply(signed.vectors)), signed.hashes, signed.low_detail)


def _measure(pictures: Pictures, library: Signatures, edits: Mapping[str, Signatures]) -> Measured:
    stored = library.hashes[:, 0]
    true, false, first = {}, [], []
    pairs = np.zeros(len(pictures.asked), np.int64)
    for kind, edit in edits.items():
        own = np.bitwise_count(edit.hashes ^ stored[pictures.asked, None]).astype(np.int64)
        cosines = np.einsum("nd,nd->n", edit.vectors, library.vectors[pictures.asked])
        true[kind] = np.stack([own[:, 0], own.min(axis=1), cosines])
        for start in range(0, len(edit), 128):
            places = np.arange(start, min(start + 128, len(edit)))
            cosine = edit.vectors[places] @ library.vectors.T
            plain, drawn_out = (np.bitwise_count(edit.hashes[places, n][:, None] ^ stored) for n in (0, 1))
            close = np.minimum(plain, drawn_out)
            for place, row in enumerate(pictures.asked[places]):
                own_rows = [row, *pictures.same.get(int(row), ())]
                cosine[place, own_rows] = -1
                close[place, own_rows] = plain[place, own_rows] = 64
                pairs[start + place] += len(stored) - len(own_rows)
            one, other = np.nonzero((close <= max(_DISTANCES)) | (cosine >= _NEAR))
            false.append(np.stack([plain[one, other], close[one, other], cosine[one, other], places[one], other]))
            hits = np.argpartition(cosine, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
            first.append(np.stack([np.take_along_axis(values, hits, axis=1) for values in (plain, close, cosine)]))
    return Measured(true, np.concatenate(false, axis=1), np.concatenate(first, axis=1), pairs)


def _steps_rule(steps: Sequence[tuple[int, float]]) -> Rule:
    judged = np.vectorize(is_near_duplicate, excluded={2}, otypes=[bool])
    return lambda _plain, close, cosine: judged(close.astype(int), cosine, Thresholds(tuple(steps), 0.0))


def _fit(some: Measured, pictures: Pictures, among: NDArray[np.bool_]) -> tuple[tuple[int, float], ...]:
    """The steps that catch most of all edits, where that is 1 % more than wanted of each light one; else most of the
    least caught light one. Never more false ones than are allowed."""
    fitted = pictures.unseen & among
    others = some.false[:, among[some.false[3].astype(int)]]
    false = _counts(others[1], others[2]) * 1e6 / some.pairs[among].sum()
    true = {kind: _counts(pairs[1, fitted], pairs[2, fitted]) / fitted.sum() for kind, pairs in some.true.items()}
    tried = np.array(list(combinations_with_replacement(range(len(_COSINES)), len(_DISTANCES))))
    steps = np.arange(len(_DISTANCES))
    tried = tried[false[steps, tried].sum(axis=1) <= _CHOSEN_FALSE]
    least = np.min([true[kind][steps, tried].sum(axis=1) for kind in LIGHT], axis=0)
    enough = least >= min(CAUGHT + 0.01, least.max())
    over_all = np.mean([counts[steps, tried[enough]].sum(axis=1) for counts in true.values()], axis=0)
    best = tried[enough][np.argmax(over_all)]
    taken = [(d, float(_COSINES[c])) for d, c in zip(_DISTANCES, best, strict=True) if _COSINES[c] <= 1]
    # Of steps with one cosine the furthest says all.
    return tuple(step for step in taken if not any(d > step[0] and c == step[1] for d, c in taken))


def _counts(distance: NDArray[np.float64], cosine: NDArray[np.float64]) -> NDArray[np.int64]:
    """(distances, cosines): pairs between one distance and the last, at each cosine or above."""
    step = np.searchsorted(_DISTANCES, distance)
    return np.array(
        [[np.count_nonzero(cosine[step == n] >= least) for least in _COSINES] for n in range(len(_DISTANCES))]
    )


def _cross_checked(some: Measured, pictures: Pictures) -> dict[str, float]:
    even = np.arange(len(pictures.asked)) % 2 == 0
    one, other = (
        _report(some, pictures, _steps_rule(_fit(some, pictures, chosen)), ~chosen) for chosen in (even, ~even)
    )
    return {what: (one[what] + other[what]) / 2 for what in one}


def _report(some: Measured, pictures: Pictures, rule: Rule, among: NDArray[np.bool_]) -> dict[str, float]:
    """What a rule does among those of the pictures that are asked for: share caught by kind, false ones."""
    counted = among & pictures.unseen
    row = {kind: float(rule(*pairs[:, counted]).mean()) for kind, pairs in some.true.items()}
    others = some.false[:3, among[some.false[3].astype(int)]]
    row["false in 1,000,000 pairs"] = float(rule(*others).sum() * 1e6 / some.pairs[among].sum())
    first = some.first.reshape(3, len(EDITS), len(among), NEIGHBOURS)[:, :, among].reshape(3, -1)
    row["edits with a false one in 10"] = float(rule(*first).reshape(-1, NEIGHBOURS).any(axis=1).mean())
    return row


def _publish_rules(model_id: str, some: Measured, pictures: Pictures, reached: Thresholds) -> None:
    ours = _steps_rule(reached.steps)
    alone = float(np.sort(some.false[2])[-1 - int(FALSE_PER_MILLION * some.pairs.sum() / 1e6)])
    rules: dict[str, Rule] = {
        "hash and vectors": ours,
        f"pHash <= {USUAL_DISTANCE}": lambda plain, _close, _cosine: plain <= USUAL_DISTANCE,
        f"pHash <= {HASH_ALONE}": lambda plain, _close, _cosine: plain <= HASH_ALONE,
        f"cosine > {alone:.3f}": lambda _plain, _close, cosine: cosine > alone,
    }
    everything = np.ones(len(pictures.asked), bool)
    columns = {title: _report(some, pictures, rule, everything) for title, rule in rules.items()}
    crossed = _cross_checked(some, pictures)
    rows = [
        {
            "": what,
            "wanted": _wanted(what),
            "cross-checked": crossed[what],
            **{title: column[what] for title, column in columns.items()},
        }
        for what in crossed
    ]
    title = f"{model_id}: {int(some.pairs.sum()):,} pairs, {int(pictures.unseen.sum())} pictures of each edit"
    name = model_id.partition("@")[0]
    publish(f"near_duplicates_{name}", title, rows)
    _draw(some, pictures, ours, RESULTS / f"near_duplicates_{name}.png")


def _wanted(what: str) -> float | str:
    wanted = {"false in 1,000,000 pairs": FALSE_PER_MILLION, "edits with a false one in 10": IN_FIRST_TEN}
    return wanted.get(what, CAUGHT if what in LIGHT else "-")


def _draw(some: Measured, pictures: Pictures, rule: Rule, target: Path) -> None:
    """All other pictures that were taken for one asked for, each pair once."""
    taken = some.false[:, rule(*some.false[:3])]
    names, found = pictures.names, {}
    for _plain, distance, cosine, place, other in taken.T:
        one, two = sorted((int(pictures.asked[int(place)]), int(other)))
        found[one, two] = f"{names[one]} {names[two]} {distance:.0f} {cosine:.3f}"
    sheet([(pictures.paths[a], pictures.paths[b], text) for (a, b), text in sorted(found.items())], target)
    target.with_suffix(".txt").write_text("".join(f"same {text}\n" for _, text in sorted(found.items())), "utf-8")


def _cut_off(vectors: FloatArray, pictures: Pictures) -> tuple[float, dict[str, float]]:
    classes = [path.parent.name for path in pictures.paths]
    absent, present, weights = nearest(vectors, classes, pictures.held_classes)
    cut = cut_off(absent, weights)
    return cut, {
        "absent, yet close": float(np.average(absent >= cut, weights=weights)),
        "class there and close": float(np.average(present >= cut, weights=weights)),
    }


def _summary(model_id: str, projection: str, some: Measured, pictures: Pictures, reached: Thresholds) -> dict[str, Any]:
    row = _report(some, pictures, _steps_rule(reached.steps), np.ones(len(pictures.asked), bool))
    return {
        "model": model_id,
        "projection": projection,
        "steps": "  ".join(f"{distance}:{least:.3f}" for distance, least in reached.steps),
        "light edits, least caught": min(row[kind] for kind in LIGHT),
        "heavy": float(np.mean([row[kind] for kind in EDITS if kind not in LIGHT])),
        "false in 1 M": row["false in 1,000,000 pairs"],
        "false in 10": row["edits with a false one in 10"],
        "cut-off": reached.cut_off,
        "light edits above": float(np.mean([some.true[kind][2, pictures.unseen] >= reached.cut_off for kind in LIGHT])),
    }


def _write(found: Mapping[str, Mapping[str, thresholds.Measured]]) -> None:
    """Put what was found in the place of what was known of models of those names."""
    measured_names = {model_id.partition("@")[0] for model_id in found}
    kept = {k: v for k, v in thresholds.MEASURED.items() if k.partition("@")[0] not in measured_names}
    lines = []
    for model_id, projections in sorted({**kept, **found}.items()):
        lines.append(f'    "{model_id}": {{\n')
        for projection, (steps, cut) in projections.items():
            inner = ", ".join(f"({distance}, {least})" for distance, least in steps)
            inner += "," if len(steps) == 1 else ""
            lines.append(f'        "{projection}": (({inner}), {cut:.2f}),\n')
        lines.append("    },\n")
    path = Path(thresholds.__file__)
    head = path.read_text(encoding="utf-8").partition("MEASURED:")[0]
    table = "".join(lines)
    path.write_text(f"{head}MEASURED: Mapping[str, Mapping[str, Measured]] = {{\n{table}}}\n", encoding="utf-8")
