"""One suite for every ImageStore: a folder, and a bucket on moto's S3 server and on rclone's."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import minio.error
import pytest
import urllib3
from minio import Minio

from deploy.servers import ACCESS_KEY, SECRET_KEY
from image_search.errors import ConfigError, ImageNotFound, ImageStoreError, InvalidParameter
from image_search.interfaces import ImageStore
from image_search.storage.keys import original_key, thumbnail_key, trash_key, vector_key
from image_search.storage.local_store import LocalImageStore
from image_search.storage.minio_store import MinioImageStore, _translate_errors

JPEG = "image/jpeg"
StoreMaker = Callable[[], ImageStore]


def image_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


KEY = original_key(image_id(0))


def minio_store(endpoint: str, bucket: str) -> MinioImageStore:
    """With the keys that rclone takes; moto takes any."""
    return MinioImageStore(
        endpoint,
        bucket,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region="us-east-1",
        secure=False,
        timeout_s=10,
    )


@pytest.fixture(params=["local", "moto", "rclone"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreMaker:
    """Makes stores over one and the same place, as two processes would."""
    if request.param == "local":
        return lambda: LocalImageStore(tmp_path / "store")
    if request.param == "moto":
        endpoint = request.getfixturevalue("moto_endpoint")
    else:
        endpoint = request.getfixturevalue("rclone_server").endpoint
    bucket = f"test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    return lambda: minio_store(endpoint, bucket)


@pytest.fixture
def store(make_store: StoreMaker) -> ImageStore:
    return make_store()


# What every store keeps to


def test_it_is_an_image_store(store: ImageStore) -> None:
    assert isinstance(store, ImageStore)


def test_a_fresh_store_is_empty_before_anything_was_written(store: ImageStore) -> None:
    assert not store.exists(KEY)
    with pytest.raises(ImageNotFound, match="no stored file"):
        store.get(KEY)
    store.delete(KEY)
    assert list(store.iter_keys()) == []
    store.ping()


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), "größe 猫 🐈".encode(), b"\xff\xfe\r\n\r\n"], ids=repr)
def test_what_is_put_comes_back(store: ImageStore, data: bytes) -> None:
    store.put(KEY, data, JPEG)
    assert store.exists(KEY)
    found = store.get(KEY)
    assert found == data
    assert type(found) is bytes


def test_five_megabytes_come_back(store: ImageStore) -> None:
    data = os.urandom(5 * 2**20 + 1)
    store.put(KEY, data, JPEG)
    assert store.get(KEY) == data


def test_what_one_wrote_the_other_reads(make_store: StoreMaker) -> None:
    make_store().put(KEY, b"one", JPEG)
    assert make_store().get(KEY) == b"one"
    assert list(make_store().iter_keys()) == [KEY]


def test_a_second_put_replaces(store: ImageStore) -> None:
    store.put(KEY, b"a long first one", JPEG)
    store.put(KEY, b"short", "image/png")
    assert store.get(KEY) == b"short"
    assert list(store.iter_keys()) == [KEY]


def test_delete_twice_is_fine(store: ImageStore) -> None:
    store.put(KEY, b"x", JPEG)
    store.delete(KEY)
    store.delete(KEY)
    assert not store.exists(KEY)
    with pytest.raises(ImageNotFound):
        store.get(KEY)
    store.put(KEY, b"again", JPEG)
    assert store.get(KEY) == b"again"


def test_keys_are_listed_by_prefix_and_sorted(store: ImageStore) -> None:
    ids = [image_id(number) for number in range(12)]
    keys = [original_key(i) for i in ids] + [thumbnail_key(i) for i in ids[:5]]
    # "m-2/..." sorts before "m/...": whole keys are compared, not folders.
    keys += [vector_key(i, model) for i in ids[:3] for model in ("m", "m@2", "m@10")]
    keys += [trash_key(collection, i) for i in ids[:3] for collection in ("a", "a_b", "ab")]
    for key in keys:
        store.put(key, b"x", JPEG)
    for prefix in (
        "",
        "originals/",
        "thumbnails/",
        "vectors/",
        "vectors/m/",
        "vectors/m",
        "trash/",
        "trash/a/",
        "trash/a",
        f"originals/{ids[0][:2]}",
        f"originals/{ids[0][:2]}/{ids[0][:9]}",
        KEY,
        "nothing/",
        "originalsx",
    ):
        expected = sorted(key for key in keys if key.startswith(prefix))
        assert list(store.iter_keys(prefix)) == expected, prefix
        for after in ("", "a", "zzz", prefix, expected[0] if expected else "x", *sorted(keys)[::7]):
            found = list(store.iter_keys(prefix, after=after))
            assert found == [key for key in expected if key > after], (prefix, after)


@pytest.mark.parametrize(
    "key", ["", "..", "../x", "/etc/passwd", "originals/x", KEY + "\n", KEY.upper(), KEY + "/..", "a\0b"], ids=repr
)
def test_malformed_keys_are_refused_by_every_call(store: ImageStore, tmp_path: Path, key: str) -> None:
    (tmp_path / "picture").write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: store.put(key, b"x", JPEG),
        lambda: store.put_file(key, tmp_path / "picture", JPEG, "copy"),
        lambda: store.get(key),
        lambda: store.exists(key),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(InvalidParameter):
            call()
    assert list(store.iter_keys()) == []


def test_eight_threads_at_once(store: ImageStore) -> None:
    def work(number: int) -> bool:
        key = original_key(image_id(number))
        data = os.urandom(2000 + number)
        store.put(key, data, JPEG)
        same = store.get(key) == data and store.exists(key)
        if number % 2:
            store.delete(key)
        return same

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))
    assert list(store.iter_keys()) == sorted(original_key(image_id(number)) for number in range(0, 64, 2))


def test_a_reader_sees_the_old_object_or_the_new_one(store: ImageStore, request: pytest.FixtureRequest) -> None:
    if "rclone" in request.node.name:
        pytest.skip("rclone tells the old size beside the new bytes while an object is replaced; S3 itself does not")
    versions = [bytes([number]) * 200_000 for number in range(8)]
    store.put(KEY, versions[0], JPEG)
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(store.put, KEY, version, JPEG) for version in versions]
        reads = [pool.submit(store.get, KEY) for _ in range(40)]
        assert all(read.result() in versions for read in reads)
        assert all(write.result() is None for write in writes)


def test_a_file_is_put_by_copy(store: ImageStore, tmp_path: Path) -> None:
    source = tmp_path / "größe 猫.jpg"
    source.write_bytes(b"of a file")
    store.put_file(KEY, source, JPEG, "copy")
    source.write_bytes(b"changed since")
    assert store.get(KEY) == b"of a file"


def test_a_file_that_vanished_is_one_of_our_errors_and_leaves_the_old_object(store: ImageStore, tmp_path: Path) -> None:
    store.put(KEY, b"old", JPEG)
    with pytest.raises(ImageStoreError):
        store.put_file(KEY, tmp_path / "absent.jpg", JPEG, "copy")
    assert store.get(KEY) == b"old"
    assert list(store.iter_keys()) == [KEY]


def test_what_is_put_is_kept_whatever_becomes_of_a_file(store: ImageStore, tmp_path: Path) -> None:
    key, path = hashed(tmp_path)
    assert store.keeping(key, path) == "missing"
    store.put_file(key, path, JPEG, "copy")
    assert (store.keeping(key, path), store.keeping(key, None)) == ("kept", "kept")


# The folder


@pytest.mark.parametrize(("mode", "without"), [("copy", "kept"), ("hardlink", "kept"), ("reference", "reference")])
def test_what_is_left_without_the_owner_s_file(local: LocalImageStore, tmp_path: Path, mode: str, without: str) -> None:
    key, path = hashed(tmp_path)
    local.put_file(key, path, JPEG, mode)  # type: ignore[arg-type]
    (tmp_path / "link.jpg").symlink_to(path)
    (tmp_path / "other.jpg").write_bytes(b"a picture")
    assert local.keeping(key, path) == without
    assert local.keeping(key, tmp_path / "link.jpg") == without
    for other in (None, tmp_path / "other.jpg", tmp_path / "nowhere.jpg"):
        assert local.keeping(key, other) == "kept"
    path.write_bytes(b"changed")
    if mode != "copy":
        assert local.keeping(key, None) == "missing"
    path.unlink()
    assert local.keeping(key, None) == ("missing" if mode == "reference" else "kept")


def test_what_another_removes_while_it_is_read_is_there_or_not(local: LocalImageStore) -> None:
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            local.put(KEY, b"whole", JPEG)
            local.delete(KEY)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(come_and_go)
        try:
            for _ in range(5000):
                with contextlib.suppress(ImageNotFound):
                    assert local.get(KEY) == b"whole"
                assert local.keeping(KEY, None) in ("kept", "missing")
        finally:
            ended.set()
        writer.result()


@pytest.fixture
def local(tmp_path: Path) -> LocalImageStore:
    return LocalImageStore(tmp_path / "store")


def hashed(tmp_path: Path, data: bytes = b"a picture") -> tuple[str, Path]:
    """A file of the owner's and the key that its content has."""
    path = tmp_path / "mine.jpg"
    path.write_bytes(data)
    return original_key(hashlib.sha256(data).hexdigest()), path


def test_a_hard_link_is_the_file_itself(local: LocalImageStore, tmp_path: Path) -> None:
    key, path = hashed(tmp_path)
    local.put_file(key, path, JPEG, "hardlink")
    assert (tmp_path / "store" / key).stat().st_ino == path.stat().st_ino
    local.put_file(key, path, JPEG, "hardlink")
    assert local.get(key) == b"a picture"
    local.delete(key)
    assert path.read_bytes() == b"a picture"


def test_a_hard_link_of_a_symbolic_link_is_the_file_behind_it(local: LocalImageStore, tmp_path: Path) -> None:
    key, path = hashed(tmp_path)
    (tmp_path / "link.jpg").symlink_to("mine.jpg")
    local.put_file(key, tmp_path / "link.jpg", JPEG, "hardlink")
    path.unlink()
    assert local.get(key) == b"a picture"


def test_a_hard_link_across_file_systems_becomes_a_copy(local: LocalImageStore) -> None:
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK) or shared_memory.stat().st_dev == Path(local._root.parent).stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    source = shared_memory / f"image-search-test-{os.getpid()}"
    source.write_bytes(b"far away")
    try:
        local.put_file(KEY, source, JPEG, "hardlink")
    finally:
        source.unlink()
    assert local.get(KEY) == b"far away"


def test_a_reference_is_followed_and_a_change_is_noticed(local: LocalImageStore, tmp_path: Path) -> None:
    key, path = hashed(tmp_path)
    local.put_file(key, path, JPEG, "reference")
    assert local.get(key) == b"a picture"
    assert list(local.iter_keys()) == [key]
    path.write_bytes(b"another")
    with pytest.raises(ImageNotFound, match="changed"):
        local.get(key)
    path.unlink()
    assert not local.exists(key)
    with pytest.raises(ImageNotFound):
        local.get(key)


@pytest.mark.parametrize("mode", ["hardlink", "reference"])
def test_the_owner_s_file_is_never_written(local: LocalImageStore, tmp_path: Path, mode: str) -> None:
    key, path = hashed(tmp_path)
    local.put_file(key, path, JPEG, mode)  # type: ignore[arg-type]
    local.put(key, b"replaced", JPEG)
    assert path.read_bytes() == b"a picture"
    assert local.get(key) == b"replaced"
    local.put_file(key, path, JPEG, mode)  # type: ignore[arg-type]
    local.delete(key)
    assert path.read_bytes() == b"a picture"


def test_a_reference_given_by_a_relative_path_is_found_from_anywhere(
    local: LocalImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = hashed(tmp_path)
    monkeypatch.chdir(tmp_path)
    local.put_file(key, Path("mine.jpg"), JPEG, "reference")
    monkeypatch.chdir("/")
    assert local.get(key) == b"a picture"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from image_search.errors import ImageStoreError
from image_search.storage.local_store import LocalImageStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store, key, big = LocalImageStore(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
for write in (lambda: store.put(key, bytes(50_000), ""), lambda: store.put_file(key, big, "", "copy")):
    try:
        write()
        print("written")
    except ImageStoreError:
        print("refused", store.get(key))
store.put(key, b"small", "")
print(store.get(key))
"""


def test_a_write_that_fails_midway_leaves_the_old_object_and_nothing_else(
    local: LocalImageStore, tmp_path: Path
) -> None:
    local.put(KEY, b"old", JPEG)
    (tmp_path / "big").write_bytes(bytes(50_000))
    arguments = [sys.executable, "-c", FULL_DISK, str(tmp_path / "store"), KEY, str(tmp_path / "big")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == ["refused b'old'", "refused b'old'", "b'small'"], done.stderr
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == [tmp_path / "store" / KEY]


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from image_search.storage.local_store import LocalImageStore

def half(source, target, **_):
    Path(target).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

shutil.copyfile = half
LocalImageStore(Path(sys.argv[1])).put_file(sys.argv[2], Path(sys.argv[3]), "", "copy")
"""


def test_what_a_killed_process_left_is_no_object_and_is_gone_after_the_next_start(tmp_path: Path) -> None:
    key, path = hashed(tmp_path)
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "store"), key, str(path)]
    assert subprocess.run(arguments, capture_output=True, timeout=30).returncode == -9
    (left,) = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    # A young one may be another process's, at work.
    os.utime(left, (0, 0))
    store = LocalImageStore(tmp_path / "store")
    assert list(store.iter_keys()) == []
    assert not store.exists(key)
    store.put_file(key, path, JPEG, "copy")
    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file()] == [tmp_path / "store" / key]


def test_files_that_are_no_objects_are_not_listed(local: LocalImageStore, tmp_path: Path) -> None:
    local.put(KEY, b"x", JPEG)
    for junk in ("originals/.DS_Store", f"{KEY}~", "README.txt"):
        (tmp_path / "store" / junk).write_text("junk")
    assert list(local.iter_keys()) == [KEY]


def test_a_root_that_cannot_be_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = LocalImageStore(tmp_path / "file" / "store")
    for call in (store.ping, lambda: store.put(KEY, b"x", JPEG)):
        with pytest.raises(ImageStoreError):
            call()
    with pytest.raises(ImageNotFound):
        store.get(KEY)


# The bucket


@pytest.mark.parametrize("mode", ["hardlink", "reference"])
def test_a_bucket_takes_copies_only(tmp_path: Path, mode: str) -> None:
    key, path = hashed(tmp_path)
    with pytest.raises(ConfigError, match="only copy"):
        minio_store("127.0.0.1:9", "pictures").put_file(key, path, JPEG, mode)  # type: ignore[arg-type]


def test_the_content_type_is_kept_and_the_bucket_is_private(moto_endpoint: str) -> None:
    minio_store(moto_endpoint, "typed").put(KEY, b"x", "image/webp")
    client = Minio(moto_endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region="us-east-1", secure=False)
    assert client.stat_object("typed", KEY).content_type == "image/webp"
    with pytest.raises(minio.error.S3Error, match="NoSuchBucketPolicy"):
        client.get_bucket_policy("typed")


def test_a_bucket_or_folder_that_others_make_at_the_same_time(make_store: StoreMaker) -> None:
    stores = [make_store() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: pair[1].put(original_key(image_id(pair[0])), b"x", JPEG), enumerate(stores)))
    assert len(list(stores[0].iter_keys())) == 8


def test_a_server_that_is_not_there_is_retryable_and_quick() -> None:
    store = minio_store("127.0.0.1:9", "pictures")
    for call in (
        lambda: store.get(KEY),
        lambda: store.put(KEY, b"x", JPEG),
        store.ping,
        lambda: list(store.iter_keys()),
    ):
        with pytest.raises(ImageStoreError) as caught:
            call()
        assert caught.value.retryable


@pytest.mark.parametrize("endpoint", ["http://host:9000/path", "host:many"])
def test_an_endpoint_that_is_none_is_a_matter_of_configuration(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.endpoint"):
        minio_store(endpoint, "pictures")


@pytest.mark.parametrize("bucket", ["B", "has space", "a"])
def test_a_bucket_s_name_that_is_none_is_a_matter_of_configuration(bucket: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.bucket"):
        minio_store("127.0.0.1:9", bucket).ping()


def _s3_error(code: str) -> minio.error.S3Error:
    response = urllib3.HTTPResponse(body=b"", status=400)
    known = {
        "code": code,
        "message": "m",
        "resource": "r",
        "request_id": "1",
        "host_id": "1",
        "response": response,
        "bucket_name": "b",
        "object_name": "o",
    }
    wanted = inspect.signature(minio.error.S3Error.__init__).parameters
    return minio.error.S3Error(**{name: value for name, value in known.items() if name in wanted})


MINIO_ERRORS = [
    kind
    for _, kind in inspect.getmembers(minio.error, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == "minio.error"
]
HTTP_ERRORS = [
    kind
    for _, kind in inspect.getmembers(urllib3.exceptions, inspect.isclass)
    if issubclass(kind, urllib3.exceptions.HTTPError)
]


def test_the_lists_of_exceptions_are_found() -> None:
    assert {minio.error.S3Error, minio.error.ServerError, minio.error.MinioException} <= set(MINIO_ERRORS)
    assert {urllib3.exceptions.MaxRetryError, urllib3.exceptions.ReadTimeoutError} <= set(HTTP_ERRORS)


@pytest.mark.parametrize("kind", [*MINIO_ERRORS, *HTTP_ERRORS, OSError, TimeoutError], ids=lambda kind: kind.__name__)
def test_every_exception_of_the_sdk_is_translated(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    if kind is minio.error.S3Error:
        error = _s3_error("AccessDenied")
    with pytest.raises(ImageStoreError) as caught, _translate_errors():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchObject"])
def test_what_is_not_there_is_not_found(code: str) -> None:
    with pytest.raises(ImageNotFound), _translate_errors():
        raise _s3_error(code)


@pytest.mark.parametrize(
    ("code", "retryable"),
    [("SlowDown", True), ("InternalError", True), ("AccessDenied", False), ("NoSuchBucket", False)],
)
def test_what_may_pass_is_retryable(code: str, retryable: bool) -> None:
    with pytest.raises(ImageStoreError, match=code) as caught, _translate_errors():
        raise _s3_error(code)
    assert caught.value.retryable is retryable
