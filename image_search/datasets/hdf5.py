"""Dataset shards: layout, version, batch reader, atomic writer: the one importer of h5py.

A shard is an HDF5 file with the attributes `format`, `version`, `count` and one row per picture:

    format = image_search/vectors     vectors   (n, dim) float16 raw, float32 projected; attributes model_id,
                                                projection_id
    format = image_search/pictures    pictures  (n,) encoded picture files; attribute shortest_px (0 = originals)
    both                              records   (n,) ImageRecord as JSON

It is written under another name, flushed to the disk and renamed: whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from image_search.datasets.silent_file import SilentFile
from image_search.errors import DatasetFormatError, ImageStoreError, is_disk_full
from image_search.interfaces import FloatArray, VectorBatch
from image_search.records import record_from_json, record_to_json
from image_search.types import ImageRecord, ShardInfo

VERSION = 1
_VECTORS = "image_search/vectors"
_PICTURES = "image_search/pictures"
_TEMPORARY_SUFFIX = ".part"
_ABANDONED_S = 3600.0
"""Nobody writes on a shard of an archive for so long after its last row."""
MAX_DIM = 32_768
"""Of a vector, as long as a collection's may be."""
MAX_ID_CHARACTERS = 300
MAX_CHUNK_BYTES = 16_000_000
MAX_PROJECTION_BYTES = 512_000_000
LOOK_UP_EVERY_S = 0.2


def write_vector_shard(path: Path, info: ShardInfo, batches: Iterable[VectorBatch], *, projection: bytes = b"") -> int:
    """Write batches of n records and their (n, dim) vectors, whole or not at all; returns the number of rows.

    Raw vectors are kept as float16, projected ones as float32 beside their `projection`. Raises ImageStoreError.
    """
    dtype = np.float16 if info.projection_id == "none" else np.float32
    with _writing(path) as (file, check):
        file.attrs.update({"format": _VECTORS, "version": VERSION})
        file.attrs.update({"model_id": info.model_id, "projection_id": info.projection_id})
        vectors = _growing(file, "vectors", dtype, info.dim)
        lines = _growing(file, "records", h5py.string_dtype("utf-8"))
        if projection:
            file.create_dataset("projection", data=np.frombuffer(projection, np.uint8))
        for records, rows in batches:
            _append(lines, [record_to_json(record) for record in records])
            _append(vectors, rows.astype(dtype))
            check()
        file.attrs["count"] = count = int(vectors.shape[0])
    return count


_ATTRIBUTES = frozenset({"format", "version", "model_id", "projection_id", "count"})


def read_projection(path: Path) -> bytes:
    """The projection that a shard of projected vectors carries, b"" where it has none."""
    with _reading(path, _VECTORS) as file:
        return file["projection"][()].tobytes() if "projection" in file else b""


def describe_vector_shard(path: Path) -> ShardInfo:
    """Model, projection, size. Raises DatasetFormatError."""
    with _reading(path, _VECTORS) as file:
        return _info(file)


def check_vector_shard(path: Path, *, rows: bool = False, give_up: Callable[[], bool] = lambda: False) -> None:
    """Return when a shard that came from elsewhere is sound, with `rows` each row of it; early where `give_up` says so.

    Another process looks: a file that crashes the C library, or wants all memory, is one that is refused. Raises
    DatasetFormatError.
    """
    while True:
        code, said = _tried(path, rows=rows, give_up=give_up)
        if give_up():
            return
        # Ended from outside, as by a Ctrl-C that meets every process of a terminal: that says nothing about the file.
        if code not in (-signal.SIGINT, -signal.SIGTERM):
            break
    try:
        found = json.loads(said)
    except ValueError as error:
        raise DatasetFormatError(
            f"{path.name}: is damaged or made to do harm: reading it ended the reader ({code})"
        ) from error
    if "refused" in found:
        raise DatasetFormatError(found["refused"])


def _tried(path: Path, *, rows: bool, give_up: Callable[[], bool]) -> tuple[int, bytes]:
    """How the other process ended, and what it said; it is killed where `give_up` says so."""
    # Our own program, and a file that the caller named.
    command = [sys.executable, "-m", "image_search.datasets.trial", str(path), *(["rows"] if rows else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:  # noqa: S603
        while True:
            try:
                said = child.communicate(timeout=LOOK_UP_EVERY_S)[0]
            except subprocess.TimeoutExpired:
                if give_up():
                    child.kill()
            else:
                return child.returncode, said


def check_stored(path: Path) -> None:
    """Raise DatasetFormatError unless the rows that a shard claims are there as our writer stores them.

    A file of a few bytes can claim any number of rows, in tables that were never written or that unfold when read.
    """
    with _reading(path, _VECTORS) as file:
        _info(file)
        vectors = file["vectors"]
        if vectors.ndim != 2 or vectors.dtype.kind != "f" or not 1 <= vectors.shape[1] <= MAX_DIM:
            raise DatasetFormatError(f"{path.name}: its vectors are no (n, dim) table of floating point numbers")
        for table in (vectors, file["records"]):
            chunk_bytes = np.prod(table.chunks or (0,), dtype=np.float64) * table.dtype.itemsize
            packed = table.id.get_create_plist().get_nfilters() > 0
            if packed or chunk_bytes > MAX_CHUNK_BYTES or table.id.get_storage_size() < table.nbytes:
                raise DatasetFormatError(f"{path.name}: its tables are not stored as this program stores them")
        if "projection" in file:
            _check_projection(path, file)


def read_vector_shard(path: Path, batch_size: int = 1024) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
    """Batches of records and their (n, dim) float32 vectors. Raises DatasetFormatError."""
    with _reading(path, _VECTORS) as file:
        vectors = file["vectors"]
        for start in range(0, vectors.shape[0], batch_size):
            rows = np.asarray(vectors[start : start + batch_size], dtype=np.float32)
            yield _read_records(path, file, start, start + len(rows)), rows


def write_picture_shard(
    path: Path, records: Sequence[ImageRecord], pictures: Sequence[bytes], *, shortest_px: int
) -> None:
    """Write n records and the bytes of their picture files, whole or not at all."""
    with _writing(path) as (file, check):
        file.attrs.update({"format": _PICTURES, "version": VERSION, "shortest_px": shortest_px, "count": len(records)})
        _append(_growing(file, "records", h5py.string_dtype("utf-8")), [record_to_json(r) for r in records])
        dataset = file.create_dataset("pictures", (len(pictures),), dtype=h5py.vlen_dtype(np.uint8))
        for row, picture in enumerate(pictures):
            dataset[row] = np.frombuffer(picture, np.uint8)
            check()


def read_picture_shard(path: Path, batch_size: int = 64) -> Iterator[tuple[list[ImageRecord], list[bytes]]]:
    """Batches of records and the bytes of their picture files. Raises DatasetFormatError."""
    with _reading(path, _PICTURES) as file:
        pictures = file["pictures"]
        for start in range(0, pictures.shape[0], batch_size):
            rows = [row.tobytes() for row in pictures[start : start + batch_size]]
            yield _read_records(path, file, start, start + len(rows)), rows


@dataclass(frozen=True)
class VectorArchive:
    """The raw vectors of bulk runs of one model, as a folder of vector shards; `interfaces.VectorArchive`."""

    folder: Path
    model_id: str

    rows_per_shard = 8192

    def append(self, records: Sequence[ImageRecord], raw: FloatArray) -> None:
        """Keep (n, raw_dim) raw vectors as float16, in a shard of their own."""
        name = f"part-{len(records):06d}-{uuid.uuid4().hex}.h5"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_vector_shard(self.folder / name, self._info(raw.shape[1], len(raw)), [(records, raw)])

    def iterate(
        self, batch_size: int = 1024, *, since_s: float = 0.0
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every kept vector, also of pictures deleted since; one that was kept twice comes twice.

        With `since_s` (Unix time) only of shards written since then.
        """
        read: set[Path] = set()
        vanished = True
        while vanished:
            # A compaction that runs meanwhile takes small shards away once a larger one holds their rows: look again.
            vanished = False
            for path in self.shards():
                if path in read:
                    continue
                read.add(path)
                try:
                    if path.stat().st_mtime < since_s:
                        continue
                    yield from read_vector_shard(path, batch_size)
                except (DatasetFormatError, FileNotFoundError):
                    if path.exists():
                        raise
                    vanished = True

    def compact(self) -> None:
        """Join small shards into larger ones. Stopped in the middle, rows may stand twice, and none is lost.

        One at a time, of however many processes; also removes what killed writers left.
        """
        if not self.folder.is_dir():
            return
        with contextlib.ExitStack() as held:
            try:
                lock = held.enter_context((self.folder / "lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise ImageStoreError(f"the vector archive cannot be locked: {error.strerror}") from error
            for left in self.folder.glob(f"*{_TEMPORARY_SUFFIX}"):
                # One that is being written may get its name meanwhile, and one of another user is his to remove.
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    if time.time() - left.stat().st_mtime > _ABANDONED_S:
                        left.unlink()
            self._join_parts()

    def _join_parts(self) -> None:
        parts: list[Path] = []
        rows = 0
        for path in self.shards():
            if not path.name.startswith("part-"):
                continue
            parts.append(path)
            rows += int(path.name.split("-")[1])
            if rows >= self.rows_per_shard:
                self._join(parts)
                parts, rows = [], 0
        if len(parts) > 1:
            self._join(parts)

    def adopt(self, path: Path) -> None:
        """Move a shard of raw vectors into the archive. Raises ImageStoreError."""
        target = self.folder / f"adopted-{path.stem}-{uuid.uuid4().hex}.h5"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                path.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                # Another file system: whole under its name or not at all, as every shard.
                temporary = target.with_suffix(_TEMPORARY_SUFFIX)
                shutil.copyfile(path, temporary)
                temporary.replace(target)
                path.unlink()
        except OSError as error:
            raise ImageStoreError(f"shard {path.name} cannot be moved into the library: {error.strerror}") from error

    def has_adopted(self, stem: str) -> bool:
        """Whether a shard of that name (without its suffix) was adopted."""
        return any(self.folder.glob(f"adopted-{stem}-*.h5"))

    def shards(self) -> list[Path]:
        """The shards' files, sorted."""
        return sorted(self.folder.glob("*.h5"))

    def _join(self, parts: list[Path]) -> None:
        infos = [describe_vector_shard(part) for part in parts]
        count = sum(info.count for info in infos)
        name = f"{'shard' if count >= self.rows_per_shard else f'part-{count:06d}'}-{uuid.uuid4().hex}.h5"
        batches = (batch for part in parts for batch in read_vector_shard(part))
        write_vector_shard(self.folder / name, self._info(infos[0].dim, count), batches)
        for part in parts:
            part.unlink()

    def _info(self, dim: int, count: int) -> ShardInfo:
        return ShardInfo(model_id=self.model_id, projection_id="none", dim=dim, count=count)


def _growing(file: Any, name: str, dtype: Any, dim: int | None = None) -> Any:
    tail = () if dim is None else (dim,)
    # Chunks of about half a megabyte: what HDF5's own cache holds.
    rows = 256 if dim is None else max(1, min(256, 262_144 // dim))
    return file.create_dataset(name, (0, *tail), maxshape=(None, *tail), chunks=(rows, *tail), dtype=dtype)


def _append(dataset: Any, rows: Any) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(rows), axis=0)
    if len(rows):
        dataset[start:] = rows


def _read_records(path: Path, file: Any, start: int, stop: int) -> list[ImageRecord]:
    records = []
    for row, line in enumerate(file["records"][start:stop], start):
        try:
            records.append(record_from_json(line.decode()))
        except DatasetFormatError as error:
            raise DatasetFormatError(f"{path.name}: row {row}: {error}") from error
    return records


def _info(file: Any) -> ShardInfo:
    vectors = file["vectors"]
    model_id, projection_id = (str(file.attrs[name]) for name in ("model_id", "projection_id"))
    if max(len(model_id), len(projection_id)) > MAX_ID_CHARACTERS:
        raise ValueError("an id that is none")
    return ShardInfo(
        model_id=model_id,
        projection_id=projection_id,
        dim=int(vectors.shape[1]),
        count=int(vectors.shape[0]),
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[tuple[Any, Callable[[], None]]]:
    """An HDF5 file that becomes `path` when all went well, and what to call after each batch: it raises on failure."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_TEMPORARY_SUFFIX}")
    target: SilentFile | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = SilentFile(temporary)
        with h5py.File(target, "w") as file:
            yield file, target.check
        target.sync()
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        cause = target.failure if target and target.failure else error
        if not isinstance(cause, Exception):
            raise cause from None
        said = "the disk is full" if is_disk_full(cause) else f"shard {path.name} cannot be written"
        raise ImageStoreError(said) from cause
    finally:
        if target is not None:
            target.close()
            temporary.unlink(missing_ok=True)


def _check_projection(path: Path, file: Any) -> None:
    """Raise DatasetFormatError for one that would unfold when it is read: ours are zip files that pack nothing."""
    _check_own(file, "projection")
    table = file["projection"]
    if table.ndim != 1 or table.dtype != np.uint8 or table.nbytes > MAX_PROJECTION_BYTES:
        raise DatasetFormatError(f"{path.name}: its projection is no file of bytes")
    data = table[()].tobytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            unfolded = sum(member.file_size for member in packed.infolist())
    except zipfile.BadZipFile as error:
        raise DatasetFormatError(f"{path.name}: its projection is damaged") from error
    if unfolded > len(data):
        raise DatasetFormatError(f"{path.name}: its projection is not stored as this program stores it")


def _check_own(file: Any, name: str) -> None:
    """Raise ValueError where a table's bytes would be taken from another file of this machine."""
    link, table = file.get(name, getlink=True), file[name]
    if not isinstance(link, h5py.HardLink) or table.is_virtual or table.external:
        raise ValueError(name)


@contextlib.contextmanager
def _reading(path: Path, kind: str) -> Iterator[Any]:
    try:
        with h5py.File(path, "r") as file:
            # Before any is read: an array of one text, many times, takes gigabytes out of a small file.
            if any(file.attrs.get_id(name).shape != () for name in file.attrs if name in _ATTRIBUTES):
                raise ValueError("an attribute that is no single value")
            found = file.attrs.get("format")
            if found != kind:
                raise DatasetFormatError(f"{path.name}: is {found or 'no dataset shard'!r}, expected {kind!r}")
            if file.attrs.get("version") != VERSION:
                raise DatasetFormatError(
                    f"{path.name}: version {file.attrs.get('version')} of the layout; this program reads {VERSION}"
                )
            for name in ("records", kind.rpartition("/")[2]):
                _check_own(file, name)
            rows = {len(file[name]) for name in ("records", kind.rpartition("/")[2])} | {int(file.attrs["count"])}
            if len(rows) != 1:
                raise DatasetFormatError(f"{path.name}: its tables have different lengths")
            yield file
    except FileNotFoundError as error:
        raise DatasetFormatError(f"{path.name}: no such file") from error
    except (OSError, KeyError, ValueError, RuntimeError, AttributeError, IndexError, TypeError) as error:
        raise DatasetFormatError(f"{path.name}: is damaged or no HDF5 file") from error
