"""What a run learns from and what it is asked about afterwards: the folders, packed, and what is kept out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.exam import EVERY_FIFTH, PHOTOS_ASKED, Exam, held_out_classes
from image_search.embedding.models import ModelFile, ModelSpec
from image_search.interfaces import FloatArray
from training.pictures import Pack, TrainingError, make_pack
from training.targets import Targets


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of pictures, how often they come in one pass, and at most how many of them are taken."""

    path: Path
    times: float = 1.0
    limit: int = 0

    @classmethod
    def parse(cls, text: str) -> Folder:
        """PATH, PATH=TIMES or PATH=TIMES:LIMIT. Raises TrainingError."""
        path, separator, rest = text.rpartition("=")
        if not separator:
            return cls(Path(text))
        times, _, limit = rest.partition(":")
        try:
            folder = cls(Path(path), float(times), int(limit or 0))
        except ValueError as error:
            raise TrainingError(f"--pictures {text!r}: must be FOLDER, FOLDER=TIMES or FOLDER=TIMES:LIMIT") from error
        if not 0 < folder.times <= 1000 or folder.limit < 0:
            raise TrainingError(f"--pictures {text!r}: TIMES must be above 0, LIMIT not below it")
        return folder


@dataclass
class Material:
    """Packs, and beside each: how often its pictures come, and which of them are kept out."""

    packs: list[Pack] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    kept_out: list[np.ndarray] = field(default_factory=list)
    asked: list[Path] = field(default_factory=list)
    """Pictures of classes that are kept out."""
    distractors: list[Path] = field(default_factory=list)
    photos: list[Path] = field(default_factory=list)
    """Photos that are kept out, of which copies are looked for."""

    def exam(self, spec: ModelSpec) -> Exam | None:
        """What is asked after and during training; None where nothing was kept out."""
        return Exam(self.asked, self.photos, self.distractors, spec) if self.asked or self.photos else None

    def targets(self, dim: int, damping: float) -> FloatArray:
        """(all pictures, dim) what the student is taught, fitted on what is not kept out.

        Raises TrainingError where that is too little: ten pictures for each number.
        """
        known = np.concatenate([pack.teacher[~kept] for pack, kept in zip(self.packs, self.kept_out, strict=True)])
        if len(known) < 10 * dim:
            raise TrainingError(f"{len(known)} pictures to learn from; at least {10 * dim} are needed")
        return Targets(known, dim, damping)(np.concatenate([pack.teacher for pack in self.packs]))


def gather(
    folders: Sequence[Folder], teacher: ModelFile, cache: Path, *, labelled: Path | None, photos: Path | None
) -> Material:
    """Pack all folders. Of `labelled` (a sub-folder for each class) and `photos`, each one of them, some is kept out.

    Raises TrainingError where a folder has no pictures, `labelled` or `photos` is none of the folders, one folder lies
    in another (what is kept out of one would be trained on in the other), or there are not two classes to ask for.
    """
    paths = [folder.path.resolve() for folder in folders]
    for name, wanted in (("--labelled", labelled), ("--photos", photos)):
        if wanted is not None and wanted.resolve() not in paths:
            raise TrainingError(f"{name} {wanted.name}: must be one of the folders given with --pictures")
    for path in paths:
        if inside := [other.name for other in paths if path in other.parents]:
            raise TrainingError(f"{inside[0]} lies in {path.name}: its pictures would come twice, kept out or not")
    material = Material()
    for folder in folders:
        pack = make_pack(folder.path, teacher, cache, limit=folder.limit)
        kept = np.zeros(len(pack), bool)
        if labelled is not None and folder.path.samefile(labelled):
            classes = held_out_classes([path for path in pack.paths if "/" in path])
            if len(classes) < 2:
                raise TrainingError(f"{labelled.name} has too few classes (sub-folders) to keep two out of")
            kept = np.array([path.split("/")[0] in classes for path in pack.paths], bool)
            material.asked = [folder.path / path for path, out in zip(pack.paths, kept, strict=True) if out]
            material.distractors = [folder.path / path for path, out in zip(pack.paths, kept, strict=True) if not out]
        if photos is not None and folder.path.samefile(photos):
            kept[EVERY_FIFTH] = True
            material.photos = [folder.path / path for path in pack.paths[EVERY_FIFTH]][:PHOTOS_ASKED]
        material.packs.append(pack)
        material.times.append(folder.times)
        material.kept_out.append(kept)
    return material
