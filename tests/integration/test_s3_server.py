"""The image store on a real S3 server: keys, signed addresses, large objects, and everything that goes wrong there."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from deploy.servers import ACCESS_KEY, SECRET_KEY, RcloneServer, Tls, running
from image_search.api.app import create_app
from image_search.config import load_settings
from image_search.errors import ConfigError, ImageNotFound, ImageStoreError
from image_search.storage.keys import original_key, thumbnail_key
from image_search.storage.minio_store import MinioImageStore
from image_search.wiring import build_services
from tests.servers import started
from tests.support import draw, jpeg
from tests.url_servers import server_certificate

KEY = original_key(hashlib.sha256(b"x").hexdigest())
OTHER = original_key(hashlib.sha256(b"y").hexdigest())


def open_store(endpoint: str, bucket: str = "pictures", **options: Any) -> MinioImageStore:
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": "us-east-1", "secure": False}
    return MinioImageStore(endpoint, bucket, **{**keys, "timeout_s": 60.0, **options})


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    return f"b{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("wrong", [{"secret_key": "not-the-secret"}, {"access_key": "not-the-key"}])
def test_wrong_keys_are_told_and_not_tried_again(
    rclone_server: RcloneServer, bucket: str, wrong: dict[str, str]
) -> None:
    open_store(rclone_server.endpoint, bucket).put(KEY, b"x", "image/jpeg")
    stranger = open_store(rclone_server.endpoint, bucket, **wrong)
    calls: list[Callable[[], object]] = [
        lambda: stranger.get(KEY),
        lambda: stranger.put(OTHER, b"x", "image/jpeg"),
        lambda: stranger.delete(KEY),
        lambda: list(stranger.iter_keys()),
        stranger.ping,
    ]
    for call in calls:
        with pytest.raises(ImageStoreError, match=r"storage\.access_key") as caught:
            call()
        assert not caught.value.retryable
        assert "not-the" not in str(caught.value)
    assert list(open_store(rclone_server.endpoint, bucket).iter_keys()) == [KEY]


def test_pictures_are_read_by_signed_addresses_only(rclone_server: RcloneServer, bucket: str) -> None:
    store = open_store(rclone_server.endpoint, bucket)
    store.put(KEY, b"a picture", "image/jpeg")
    store.put(OTHER, b"another", "image/jpeg")
    url = store.presigned_url(KEY)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"a picture"
    assert 400 <= status_of(url.partition("?")[0]) < 500
    assert 400 <= status_of(url.replace(KEY, OTHER)) < 500
    assert 400 <= status_of(url.replace("X-Amz-Expires=900", "X-Amz-Expires=90000")) < 500
    assert store.presigned_url(KEY) == url, "the same for a while: a browser fetches a picture once"


def test_a_signed_address_ends(rclone_server: RcloneServer, bucket: str) -> None:
    store = open_store(rclone_server.endpoint, bucket, url_expiry_s=2)
    store.put(KEY, b"x", "image/jpeg")
    url = store.presigned_url(KEY)
    while status_of(url) == 200:
        pass
    assert 400 <= status_of(url) < 500


def test_addresses_are_signed_for_where_browsers_go(rclone_server: RcloneServer, bucket: str) -> None:
    public = f"http://localhost:{rclone_server.port}"
    store = open_store(rclone_server.endpoint, bucket, public_endpoint=public)
    store.put(KEY, b"x", "image/jpeg")
    url = store.presigned_url(KEY)
    assert url.startswith(f"{public}/{bucket}/{KEY}?")
    assert status_of(url) == 200
    # The signature is over the name: at another it is worth nothing.
    assert 400 <= status_of(url.replace(public, f"http://{rclone_server.endpoint}")) < 500


@pytest.mark.parametrize("bad", ["pictures.example.org", "ftp://x", "https://host/path", "http://", "https://h:many"])
def test_a_public_endpoint_that_is_none(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.public_endpoint"):
        open_store("127.0.0.1:9", public_endpoint=bad)


@pytest.mark.parametrize("bad", [0, -1, 604_801])
def test_an_expiry_that_no_server_takes(bad: int) -> None:
    with pytest.raises(ConfigError, match=r"storage\.url_expiry_s"):
        open_store("127.0.0.1:9", url_expiry_s=bad)


def test_answers_over_http_lead_to_the_s3_server(rclone_server: RcloneServer, bucket: str, tmp_path: Path) -> None:
    settings = load_settings(
        environ={},
        overrides={
            "library.data_dir": str(tmp_path / "data"),
            "storage.backend": "minio",
            "storage.endpoint": rclone_server.endpoint,
            "storage.bucket": bucket,
            "storage.access_key": ACCESS_KEY,
            "storage.secret_key": SECRET_KEY,
            "storage.secure": "false",
            "storage.image_urls": "presigned",
            "security.admin_key": "the-admin-key-of-a-test",
        },
    )
    services = build_services(settings)
    client = create_app(settings, services).test_client()
    data = jpeg(draw((200, 30, 30), mark=1))
    headers = {"X-API-Key": "the-admin-key-of-a-test", "Content-Type": "image/jpeg"}
    inserted = client.post("/insert", data=data, headers=headers)
    assert inserted.status_code == 201, inserted.text
    found = client.post("/search", data=data, headers={"Content-Type": "image/jpeg"}).get_json()
    [result] = found["results"]
    assert result["url"].startswith(f"http://{rclone_server.endpoint}/{bucket}/originals/")
    assert found["image1"] == result["url"]
    with urllib.request.urlopen(result["url"]) as answer:
        assert answer.read() == data
    with urllib.request.urlopen(result["thumbnail_url"]) as answer:
        assert answer.read()[:2] == b"\xff\xd8"
    assert SECRET_KEY not in inserted.text
    services.close()


def test_presigned_addresses_of_a_folder_are_refused(tmp_path: Path) -> None:
    overrides = {"library.data_dir": str(tmp_path), "storage.image_urls": "presigned"}
    services = build_services(load_settings(environ={}, overrides=overrides))
    with pytest.raises(ConfigError, match="needs an S3 server"):
        _ = services.signer
    services.close()


@pytest.mark.parametrize("server", ["rclone_server", "moto_endpoint"])
def test_large_objects_go_up_in_parts(request: pytest.FixtureRequest, server: str, bucket: str, tmp_path: Path) -> None:
    found = request.getfixturevalue(server)
    endpoint = found if isinstance(found, str) else found.endpoint
    store = open_store(endpoint, bucket)
    data = os.urandom(40 * 2**20 + 17)
    store.put(KEY, data, "image/jpeg")
    assert store.get(KEY) == data
    (tmp_path / "large").write_bytes(data)
    store.put_file(OTHER, tmp_path / "large", "image/jpeg", "copy")
    assert store.get(OTHER) == data
    if server == "moto_endpoint":
        client = Minio(endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region="us-east-1", secure=False)
        for key in (KEY, OTHER):
            assert str(client.stat_object(bucket, key).etag).endswith("-3")


def test_a_bucket_that_goes_is_told_until_it_is_back(rclone_server: RcloneServer, bucket: str) -> None:
    store = open_store(rclone_server.endpoint, bucket)
    store.put(KEY, b"x", "image/jpeg")
    admin = Minio(
        rclone_server.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region="us-east-1", secure=False
    )
    admin.remove_object(bucket, KEY)
    admin.remove_bucket(bucket)
    for call in (lambda: store.get(KEY), lambda: store.put(KEY, b"x", "image/jpeg"), store.ping):
        with pytest.raises(ImageStoreError, match="bucket is gone") as caught:
            call()
        assert not caught.value.retryable
    admin.make_bucket(bucket)
    store.ping()
    with pytest.raises(ImageNotFound):
        store.get(KEY)
    store.put(KEY, b"again", "image/jpeg")
    assert store.get(KEY) == b"again"


def test_a_server_that_was_killed_and_comes_back() -> None:
    with started(RcloneServer) as server:
        store = open_store(server.endpoint)
        store.put(KEY, b"x", "image/jpeg")
        server.kill()
        for call in (lambda: store.get(KEY), lambda: store.put(OTHER, b"y", "image/jpeg"), store.ping):
            with pytest.raises(ImageStoreError, match="cannot be reached") as caught:
                call()
            assert caught.value.retryable
            assert str(server.port) not in str(caught.value)
        server.start()
        assert store.get(KEY) == b"x"
        store.put(OTHER, b"y", "image/jpeg")


@pytest.fixture
def silent() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes requests and never answers; what it was sent."""
    heard: list[bytes] = []
    held: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def listen() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                held.append(peer)
                heard.append(peer.recv(65_536))

        threading.Thread(target=listen, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", heard
    for peer in held:
        peer.close()


def test_a_server_that_hangs_is_given_up_at_once(silent: tuple[str, list[bytes]]) -> None:
    endpoint, heard = silent
    store = open_store(endpoint, timeout_s=0.3)
    with pytest.raises(ImageStoreError, match="cannot be reached") as caught:
        store.ping()
    assert caught.value.retryable
    assert len(heard) == 1, "waiting again would only double the wait"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB; skips where none may be mounted."""
    folder = tmp_path / "server" / "buckets"
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a full store needs a small file system, and none can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_store(rclone_server: RcloneServer, small_disk: Path) -> None:
    with running(RcloneServer(small_disk.parent)) as server:
        assert isinstance(server, RcloneServer)
        store = open_store(server.endpoint)
        store.put(KEY, b"old", "image/jpeg")
        store.put(OTHER, bytes(12 * 2**20), "image/jpeg")
        for size in (14, 40):
            with pytest.raises(ImageStoreError):
                store.put(original_key(hashlib.sha256(bytes([size])).hexdigest()), bytes(size * 2**20), "image/jpeg")
        assert store.get(KEY) == b"old"
        assert sorted(store.iter_keys()) == sorted([KEY, OTHER]), "nothing half is left"
        store.delete(OTHER)
        store.put(OTHER, bytes(14 * 2**20), "image/jpeg")


def test_what_servers_say_when_they_are_full(silent_full: str) -> None:
    store = open_store(silent_full)
    store._bucket_ready = True
    with pytest.raises(ImageStoreError, match="no room left") as caught:
        store.put(KEY, b"x", "image/jpeg")
    assert caught.value.retryable


@pytest.fixture
def silent_full() -> Iterator[str]:
    """A server that answers as MinIO does with no room on its disks."""
    body = b'<?xml version="1.0"?><Error><Code>XMinioStorageFull</Code><Message>m</Message></Error>'
    head = f"HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65_536)
                    peer.sendall(head.encode() + body)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    pem = server_certificate("localhost").decode()
    cut = pem.index("-----BEGIN CERTIFICATE")
    (tmp_path / "key.pem").write_text(pem[:cut])
    (tmp_path / "cert.pem").write_text(pem[cut:])
    tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "cert.pem")
    with started(RcloneServer, tls=tls) as server:
        store = open_store(server.endpoint, secure=True, ca_file=str(tls.authority))
        store.put(KEY, b"x", "image/jpeg")
        assert store.get(KEY) == b"x"
        with pytest.raises(ImageStoreError, match="cannot be reached"):
            open_store(server.endpoint, secure=True).get(KEY)
    with pytest.raises(ConfigError, match=r"storage\.ca_file"):
        open_store("127.0.0.1:9", secure=True, ca_file=str(tmp_path / "absent.pem"))


def test_thumbnails_have_addresses_of_their_own(rclone_server: RcloneServer, bucket: str) -> None:
    store = open_store(rclone_server.endpoint, bucket)
    key = thumbnail_key(hashlib.sha256(b"x").hexdigest())
    store.put(key, b"small", "image/jpeg")
    with urllib.request.urlopen(store.presigned_url(key)) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.read() == b"small"
