"""Public sets of pictures: a set is data. A registered one goes by its name, any other by its record's JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_search.errors import InvalidInput
from image_search.names import is_sha256

RECORD_SUFFIX = ".set.json"


@dataclass(frozen=True, slots=True)
class Archive:
    """A file on the web, and how to know that it is the right one."""

    url: str
    size_bytes: int
    sha256: str = ""
    """"" = unknown: noted at the first use, so that a later download is compared with it."""


@dataclass(frozen=True, slots=True)
class PublicSet:
    """Pictures in an archive, and where their words come from."""

    name: str
    pictures: Archive
    """A .zip, or a .tar or .tgz."""
    description: str = ""
    captions: Archive | None = None
    """A .zip with captions in COCO's form."""
    captions_member: str = ""
    """Their file in it."""
    classes: Mapping[str, str] = field(default_factory=dict)
    """What a folder of the archive is called by people: title and tag of the pictures in it."""


_COCO = "http://images.cocodataset.org"
_IMAGENETTE = "https://s3.amazonaws.com/fast-ai-imageclas"
# WordNet's numbers of the ten classes; source: the imagenette project.
_TEN_CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


# Sizes and SHA-256: the checksum files of TensorFlow Datasets, url_checksums/coco.txt and imagenette/checksums.tsv.
# COCO's server has no certificate of its own name, so its address is http; the sum is what is trusted.
PUBLIC_SETS: Mapping[str, PublicSet] = {
    public.name: public
    for public in (
        PublicSet(
            "coco-val2014",
            Archive(
                f"{_COCO}/zips/val2014.zip",
                6_645_013_297,
                "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
            ),
            "40,504 photos with five captions each",
            Archive(
                f"{_COCO}/annotations/annotations_trainval2014.zip",
                252_872_794,
                "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
            ),
            "annotations/captions_val2014.json",
        ),
        PublicSet(
            "coco-val2017",
            Archive(
                f"{_COCO}/zips/val2017.zip",
                815_585_330,
                "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            ),
            "5,000 photos with five captions each",
            Archive(
                f"{_COCO}/annotations/annotations_trainval2017.zip",
                252_907_541,
                "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            ),
            "annotations/captions_val2017.json",
        ),
        PublicSet(
            "imagenette",
            Archive(
                f"{_IMAGENETTE}/imagenette2.tgz",
                1_557_161_267,
                "6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd",
            ),
            "photos of ten classes of ImageNet, in full size",
            classes=_TEN_CLASSES,
        ),
        PublicSet(
            "imagenette-320",
            Archive(
                f"{_IMAGENETTE}/imagenette2-320.tgz",
                341_663_724,
                "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c",
            ),
            "the same, shortest edge 320 px",
            classes=_TEN_CLASSES,
        ),
        PublicSet(
            "imagenette-160",
            Archive(
                f"{_IMAGENETTE}/imagenette2-160.tgz",
                99_003_388,
                "64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
            ),
            "the same, shortest edge 160 px",
            classes=_TEN_CLASSES,
        ),
    )
}


def read_set(path: Path) -> PublicSet:
    """The set that a JSON file describes. Raises InvalidInput that names what is wrong in it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path.name} cannot be read as JSON") from error
    given = _object(data, path.name, {"name", "description", "pictures", "captions", "captions_member", "classes"})
    name, description, member = (_text(given, key, path.name) for key in ("name", "description", "captions_member"))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise InvalidInput(f"{path.name}: name must be letters, digits, '.', '_' and '-'")
    classes = _object(given.get("classes", {}), f"{path.name}, classes", None)
    captions = given.get("captions")
    if (captions is None) != (not member):
        raise InvalidInput(f"{path.name}: captions and captions_member go together")
    return PublicSet(
        name,
        _archive(given.get("pictures"), f"{path.name}, pictures"),
        description,
        None if captions is None else _archive(captions, f"{path.name}, captions"),
        member,
        {key: _text(classes, key, f"{path.name}, classes") for key in classes},
    )


def _archive(data: object, where: str) -> Archive:
    given = _object(data, where, {"url", "size_bytes", "sha256"})
    size, sha256 = given.get("size_bytes"), _text(given, "sha256", where)
    if type(size) is not int or size <= 0:
        raise InvalidInput(f"{where}: size_bytes must be a whole number above 0")
    if sha256 and not is_sha256(sha256):
        raise InvalidInput(f"{where}: sha256 must be 64 lowercase hex digits, or absent")
    return Archive(_text(given, "url", where), size, sha256)


def _object(data: object, where: str, known: set[str] | None) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidInput(f"{where}: must be a JSON object")
    if known is not None and (unknown := sorted(set(data) - known)):
        raise InvalidInput(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return data


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{where}: {key} must be a text")
    return value
