"""Pictures of a folder as network inputs: some to calibrate an int8 network with, others to judge it by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image

from image_search.errors import InvalidInput
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray
from image_search.services.preparing import Preparer
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.services.scanning import Candidate, Source
from image_search.types import Failure

MAX_CALIBRATION = 256
MAX_HELD_OUT = 500
MIN_PICTURES = 32
FEW_PICTURES = 100
"""Below this many the ranges, and the report, rest on little."""
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class CalibrationPictures:
    """Network inputs, (n, 3, H, W) each, of different pictures, and the files that are none."""

    calibration: FloatArray
    held_out: FloatArray
    failed: tuple[Failure, ...]


@dataclass(frozen=True)
class QuantisingService:
    """Reads folders for quantising."""

    preparer: Preparer
    threads: int

    def read(
        self,
        folder: Path,
        preprocess: Callable[[Image], FloatArray],
        shortest_px: int,
        *,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> CalibrationPictures:
        """Up to 256 and 500 pictures below `folder`, spread evenly over it; of fewer, a third at least is held out.

        The same bytes twice are one picture. `preprocess` makes (3, H, W) float32 of a picture whose shortest edge is
        at least `shortest_px` where the file has that. Raises InvalidInput for fewer than 32 pictures, or when `stop`
        is set.
        """
        source = Source(folder)
        source.check()
        candidates = list(source.candidates())
        order = _spread(len(candidates))
        wanted = MAX_CALIBRATION + MAX_HELD_OUT
        tensors: dict[int, FloatArray] = {}
        seen: set[str] = set()
        failed: list[Failure] = []

        def prepare(candidate: Candidate) -> tuple[str, FloatArray] | str:
            try:
                data = self.preparer.read(candidate)
                image = self.preparer.decode(data, shortest_px).image
            except InvalidInput as error:
                return str(error)
            return content_hash(data), preprocess(image)

        with ThreadPoolExecutor(self.threads, thread_name_prefix="quantise-decode") as pool:
            tried = 0
            while tried < len(order) and len(tensors) < wanted:
                chunk = order[tried : tried + min(_CHUNK, wanted - len(tensors))]
                for index, result in zip(chunk, pool.map(prepare, [candidates[i] for i in chunk]), strict=True):
                    if isinstance(result, str):
                        failed.append(Failure(candidates[index].source_name, result))
                    elif result[0] not in seen:
                        seen.add(result[0])
                        tensors[index] = result[1]
                tried += len(chunk)
                on_progress(Progress("reading", len(tensors), min(wanted, len(candidates)), len(failed)))
                if stop is not None and stop.is_set():
                    raise InvalidInput("quantising was stopped; nothing was written")
        if len(tensors) < MIN_PICTURES:
            raise InvalidInput(
                f"folder {folder.name!r} holds {len(tensors)} pictures that can be read ({len(failed)} files cannot): "
                f"at least {MIN_PICTURES} are needed, hundreds are better"
            )
        calibration, held_out = _split([tensors[index] for index in sorted(tensors)])
        return CalibrationPictures(np.stack(calibration), np.stack(held_out), tuple(failed))


def _spread(count: int) -> list[int]:
    """0 ... count - 1 in an order of which every beginning is spread evenly over the whole."""
    bits = count.bit_length()
    # Counting with the bits reversed: half, quarters, eighths ...
    return sorted(range(count), key=lambda number: f"{number:0{bits}b}"[::-1])


def _split(tensors: Sequence[FloatArray]) -> tuple[list[FloatArray], list[FloatArray]]:
    """Which calibrate and which are held out, both spread evenly."""
    held_out = min(MAX_HELD_OUT, max(-(-len(tensors) // 3), len(tensors) - MAX_CALIBRATION))
    chosen = {number * len(tensors) // held_out for number in range(held_out)}
    return (
        [tensor for number, tensor in enumerate(tensors) if number not in chosen],
        [tensor for number, tensor in enumerate(tensors) if number in chosen],
    )
