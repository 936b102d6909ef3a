"""GET and POST /export, POST /import: a collection as a file, there and back."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

import image_search.api.tickets as tickets
from image_search.errors import DatasetFormatError
from image_search.storage.keys import original_key
from image_search.wiring import Services
from tests.api.helpers import ADMIN, USER, USER_KEY, assert_problem, in_pieces, part
from tests.api.test_indexing import wait

HDF5 = "application/x-hdf5"


def exported(client: FlaskClient) -> bytes:
    response = client.get("/export", headers=ADMIN)
    assert response.status_code == 200, response.get_data()[:300]
    return response.get_data()


def send(client: FlaskClient, content: bytes, collection: str = "copy", **more: Any) -> Any:
    return client.post(
        f"/import?collection={collection}", **{"data": content, "content_type": HDF5, "headers": ADMIN, **more}
    )


def left(services: Services) -> list[Path]:
    folder = services.settings.data_dir / "exchange"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def changed(data: bytes, tmp_path: Path, change: Callable[[h5py.File], None]) -> bytes:
    """The file after a change of what is in it."""
    path = tmp_path / "changed.h5"
    path.write_bytes(data)
    with h5py.File(path, "r+") as file:
        change(file)
    return path.read_bytes()


def test_a_collection_goes_out_and_comes_back(client: FlaskClient, running: Services) -> None:
    response = client.get("/export", headers=ADMIN)
    assert (response.status_code, response.mimetype) == (200, HDF5)
    assert response.headers["Content-Disposition"] == 'attachment; filename="default.h5"'
    assert int(response.headers["Content-Length"]) == len(response.get_data())
    assert left(running) == []

    sent = send(client, response.get_data())
    assert sent.status_code == 202
    job = sent.get_json()["job"]
    assert sent.headers["Location"] == job["url"]
    done = wait(client, job["id"], "done", "failed")
    counts = {"collection": "copy", "added": 15, "unchanged": 0, "without_picture": 0, "failed": 0}
    assert (done["kind"], done["error"], done["result"]) == ("import", None, counts)
    assert (done["total"], done["done"], done["failed"]) == (15, 15, 0)
    assert (job["collection"], done["collection"], done["can_retry"]) == ("copy", "copy", False)
    before = {image["id"]: image["title"] for image in client.get("/images").get_json()["images"]}
    after = {image["id"]: image["title"] for image in client.get("/images?collection=copy").get_json()["images"]}
    assert after == before

    again = wait(client, send(client, response.get_data()).get_json()["job"]["id"], "done", "failed")
    assert again["result"] == counts | {"added": 0, "unchanged": 15}
    running.runner.close()
    assert left(running) == []


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ({}, "the file"),
        ({"query_string": {"name": "birds.h5"}}, "birds.h5"),
        ({"query_string": {"name": "../C:\\etc\\\N{BIRD} birds.h5"}}, "\N{BIRD} birds.h5"),
        ({"form": "own/birds.h5"}, "birds.h5"),
    ],
)
def test_errors_call_the_file_as_its_owner_does(
    client: FlaskClient, running: Services, tmp_path: Path, given: dict[str, Any], called: str
) -> None:
    def post(content: bytes) -> Any:
        if "form" in given:
            return client.post("/import", headers=ADMIN, data={"file": part(content, given["form"], HDF5)})
        return client.post("/import", data=content, content_type=HDF5, headers=ADMIN, **given)

    def other_model(file: h5py.File) -> None:
        file.attrs["model_id"] = "another@000000000000"

    def broken_row(file: h5py.File) -> None:
        file["records"][14] = "{"

    data = exported(client)
    for wrong, status in ((b"x", 422), (data[:-5000], 422), (changed(data, tmp_path, other_model), 409)):
        body = assert_problem(post(wrong), status, "invalid_input" if status == 422 else "model_mismatch")
        assert body["detail"].startswith(f"{called}: ")
        assert "import-" not in str(body)
    job = post(changed(data, tmp_path, broken_row)).get_json()["job"]
    error = wait(client, job["id"], "done", "failed")["error"]
    assert error.startswith(f"{called}: ")
    assert "not valid JSON" in error
    running.runner.close()
    assert left(running) == [], "what is wrong in the file is so at the next try too"
    again = client.post(f"/jobs/{job['id']}/retry", headers=ADMIN)
    assert f"{called} is not kept any more: send it again" in assert_problem(again, 409, "conflict")["detail"]


def test_a_form_brings_whatever_bytes_a_file_has(client: FlaskClient) -> None:
    for seed in range(5):
        data = np.random.default_rng(seed).bytes(1_500_000)
        sent = client.post("/import", headers=ADMIN, data={"file": part(data, "x.h5", HDF5)})
        assert_problem(sent, 422, "invalid_input")


@pytest.mark.parametrize("form", ["raw", "octets", "multipart", "chunked"])
def test_it_is_taken_in_every_form(app: Flask, client: FlaskClient, running: Services, form: str) -> None:
    data = exported(client)
    more: dict[str, Any] = {
        "raw": {},
        "octets": {"content_type": "application/octet-stream"},
        "multipart": {"data": {"file": part(data, "library.h5", HDF5)}, "content_type": "multipart/form-data"},
        "chunked": {
            "input_stream": io.BytesIO(b"".join(in_pieces(data))),
            "environ_overrides": {"wsgi.input_terminated": True},
        },
    }[form]
    if form == "chunked":
        response = client.post("/import?collection=copy", content_type=HDF5, headers=ADMIN, **more)
    else:
        response = send(client, data, **more)
    assert response.status_code == 202, response.get_data()
    assert wait(client, response.get_json()["job"]["id"], "done", "failed")["result"]["added"] == 15


def test_a_link_works_without_a_key_for_its_collection_and_its_time(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_problem(client.post("/export"), 401, "invalid_key")
    link = client.post("/export", headers=ADMIN).get_json()
    assert link["url"].startswith("http://localhost/export?")
    assert link["expires_at"].endswith("Z")
    assert client.get(link["url"]).get_data() == exported(client)
    assert_problem(client.get(link["url"].replace("collection=default", "collection=other")), 401, "invalid_key")
    assert_problem(client.get(link["url"] + "x"), 401, "invalid_key")
    assert_problem(client.get("/export?ticket=%ff%00é"), 401, "invalid_key")
    picture = client.get("/images?limit=1").get_json()["images"][0]["url"].partition("sig=")[2]
    assert_problem(client.get(f"/export?ticket={picture}"), 401, "invalid_key")
    monkeypatch.setattr(tickets, "LIFETIME_S", -1)
    assert_problem(client.get(link["url"]), 401, "invalid_key")


def test_only_an_administrator_may(make_client: Callable[..., FlaskClient]) -> None:
    client = make_client(security__user_key=USER_KEY)
    for headers, status, code in (({}, 401, "invalid_key"), (USER, 403, "forbidden")):
        assert_problem(client.get("/export", headers=headers), status, code)
        assert_problem(client.post("/export", headers=headers), status, code)
        assert_problem(send(client, b"x", headers=headers), status, code)


def test_what_is_not_there_is_not_exported(client: FlaskClient, stocked: Services) -> None:
    for ask in (client.get, client.post):
        assert_problem(ask("/export?collection=nowhere", headers=ADMIN), 404, "collection_not_found")
        assert_problem(ask("/export?collection=../x", headers=ADMIN), 422, "invalid_parameter", field="collection")
    assert left(stocked) == []


def test_a_client_that_goes_away_leaves_nothing_and_frees_its_place(app: Flask, stocked: Services) -> None:
    client = app.test_client()
    held = [client.get("/export", headers=ADMIN, buffered=False) for _ in range(2)]
    assert [response.status_code for response in held] == [200, 200]
    assert left(stocked) == [], "an open file without a name"
    assert_problem(client.get("/export", headers=ADMIN), 429, "too_many_requests")
    assert_problem(send(client, b"x"), 429, "too_many_requests")
    for response in held:
        next(response.iter_encoded())
        response.close()
    assert client.get("/export", headers=ADMIN).status_code == 200


@pytest.mark.parametrize("data", [b"", b"x", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40])
def test_what_is_no_dataset_is_refused(client: FlaskClient, stocked: Services, data: bytes) -> None:
    response = send(client, data)
    body = assert_problem(response, 422, "invalid_parameter" if not data else "invalid_input")
    assert str(stocked.settings.data_dir) not in str(body)
    assert left(stocked) == []
    assert stocked.jobs.list() == []
    assert stocked.collections.names() == ["default"]


def test_a_file_that_is_cut_anywhere_is_refused_or_fails_and_changes_nothing(
    client: FlaskClient, running: Services
) -> None:
    data = exported(client)
    for cut in range(1, 8):
        response = send(client, data[: len(data) * cut // 8])
        assert response.status_code == 422, cut
    assert running.collections.names() == ["default"]
    assert left(running) == []


def test_damage_in_the_rows_fails_the_job_before_anything_is_written(
    client: FlaskClient, running: Services, tmp_path: Path
) -> None:
    def damage(file: h5py.File) -> None:
        file["records"][14] = "{"

    job = send(client, changed(exported(client), tmp_path, damage)).get_json()["job"]
    ended = wait(client, job["id"], "done", "failed")
    assert (ended["state"], ended["result"]) == ("failed", None)
    assert "not valid JSON" in ended["error"]
    assert running.collections.names() == ["default"]


def _external(file: h5py.File) -> None:
    del file["vectors"]
    external = [("/proc/self/environ", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("vectors", (15, 48), dtype="f2", external=external)


def _linked(file: h5py.File) -> None:
    del file["vectors"]
    file["vectors"] = h5py.ExternalLink("/etc/hostname", "vectors")


def _virtual(file: h5py.File) -> None:
    del file["vectors"]
    layout = h5py.VirtualLayout((15, 48), "f2")
    layout[:] = h5py.VirtualSource("/tmp/elsewhere.h5", "vectors", (15, 48))
    file.create_virtual_dataset("vectors", layout)


def _hollow(file: h5py.File) -> None:
    file["vectors"].resize(10**9, axis=0)
    file["records"].resize(10**9, axis=0)
    file.attrs["count"] = 10**9


def _repeated(file: h5py.File) -> None:
    # A text of an array may point to what another has: a small file then holds any number of gigabytes.
    file.attrs["model_id"] = np.array([file.attrs["model_id"]] * 400, dtype=h5py.string_dtype())


def _packed(file: h5py.File) -> None:
    del file["vectors"]
    file.create_dataset("vectors", data=np.zeros((15, 48), np.float16), compression="gzip", chunks=(15, 48))


def _no_texts(file: h5py.File) -> None:
    del file["records"]
    file["records"] = np.zeros(15)


def _many_axes(file: h5py.File) -> None:
    del file["vectors"]
    file["vectors"] = np.zeros((15, 3, 3), np.float32)


@pytest.mark.parametrize("change", [_external, _linked, _virtual, _hollow, _repeated, _packed, _no_texts, _many_axes])
def test_a_file_that_is_made_to_do_harm_is_refused(
    client: FlaskClient, stocked: Services, tmp_path: Path, change: Callable[[h5py.File], None]
) -> None:
    response = send(client, changed(exported(client), tmp_path, change))
    if response.status_code == 202:
        with pytest.raises(DatasetFormatError):
            stocked.exchange.run_job(stocked.jobs.list()[0].params, lambda _: None, threading.Event())
    else:
        assert_problem(response, 422, "invalid_input")
    assert stocked.collections.names() == ["default"]


def test_a_reader_that_dies_takes_nothing_with_it(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = exported(client)
    (tmp_path / "sitecustomize.py").write_text("import os, sys, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    body = assert_problem(send(client, data), 422, "invalid_input")
    assert "made to do harm" in body["detail"]
    assert left(stocked) == []


def test_a_reader_that_is_ended_from_outside_says_nothing_about_the_file(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = exported(client)
    met = tmp_path / "met"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, signal\n"
        f"met = pathlib.Path({str(met)!r})\n"
        "if not met.exists():\n"
        "    met.touch()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert send(client, data).status_code == 202
    assert (met.exists(), len(left(stocked))) == (True, 1)


def test_rows_that_no_collection_can_take_are_listed_and_the_others_come_in(
    client: FlaskClient, running: Services, tmp_path: Path
) -> None:
    def spoil(file: h5py.File) -> None:
        lines = [line.decode() for line in file["records"][:]]
        file["vectors"][0] = np.nan
        file["vectors"][1] = 0
        file["records"][2] = lines[2].replace('"title":"', '"title":"' + "x" * 5000)
        file["records"][3] = lines[3].replace('"image_id":"', '"image_id":"../')
        file["records"][4] = lines[4].replace('"object_key":"originals/', '"object_key":"trash/default/')
        file["records"][5] = lines[5].replace('"size_px":[', '"size_px":[-')

    job = send(client, changed(exported(client), tmp_path, spoil)).get_json()["job"]
    done = wait(client, job["id"], "done", "failed")
    assert (done["result"]["added"], done["result"]["failed"], done["failed"]) == (10, 5, 5)
    assert done["can_retry"] is False
    again = assert_problem(client.post(f"/jobs/{job['id']}/retry", headers=ADMIN), 409, "conflict")
    assert "send it again" in again["detail"]
    failures = client.get(f"/jobs/{job['id']}/failures", headers=ADMIN).get_json()["failures"]
    assert len(failures) == 5
    assert all(one["item"] and one["reason"] for one in failures)
    for records, _ in running.store.iterate("copy"):
        assert all(record.object_key == original_key(record.image_id) for record in records)


def test_vectors_of_another_model_are_refused_at_once(client: FlaskClient, stocked: Services, tmp_path: Path) -> None:
    other = changed(exported(client), tmp_path, lambda file: file.attrs.update(model_id="another@000000000000"))
    for collection in ("default", "copy"):
        assert_problem(send(client, other, collection), 409, "model_mismatch")
    assert left(stocked) == []


def test_rows_without_their_pictures_are_counted(client: FlaskClient, running: Services) -> None:
    data = exported(client)
    for image in client.get("/images?limit=3").get_json()["images"]:
        running.images.delete(original_key(image["id"]))
    done = wait(client, send(client, data).get_json()["job"]["id"], "done", "failed")
    assert done["result"]["without_picture"] == 3


def test_the_limit_is_its_own(make_client: Callable[..., FlaskClient], stocked: Services) -> None:
    client = make_client(http_server__max_import_bytes="1000", http_server__max_request_bytes="50000000")
    assert client.get("/status").get_json()["limits"]["max_import_bytes"] == 1000
    assert "1,000" in assert_problem(send(client, b"x" * 1001), 413, "request_too_large")["detail"]
    chunked = {"input_stream": io.BytesIO(b"x" * 2000), "environ_overrides": {"wsgi.input_terminated": True}}
    response = client.post("/import", content_type=HDF5, headers=ADMIN, **chunked)
    assert_problem(response, 413, "request_too_large")
    small = make_client(http_server__max_request_bytes="1000")
    assert send(small, exported(client)).status_code == 202, "larger than any other request may be"
    assert len(left(stocked)) == 1


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"data": {"other": "x"}, "content_type": "multipart/form-data"}, 422, "invalid_parameter"),
        ({"data": {}, "content_type": "multipart/form-data"}, 422, "invalid_parameter"),
        ({"data": {"file": [part(b"a"), part(b"b")]}, "content_type": "multipart/form-data"}, 422, "invalid_parameter"),
        ({"data": b"--", "content_type": "multipart/form-data"}, 400, "malformed_request"),
        ({"data": b"{}", "content_type": "application/json"}, 415, "unsupported_format"),
        ({"data": b"x", "content_type": "image/png"}, 415, "unsupported_format"),
    ],
)
def test_other_bodies_are_refused(
    client: FlaskClient, stocked: Services, given: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(send(client, b"", **given), status, code)
    assert left(stocked) == []


def test_a_disk_that_is_full_is_said_and_leaves_nothing(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    data = exported(client)
    monkeypatch.setattr("image_search.api.receiving.shutil.copyfileobj", full)
    assert_problem(send(client, data), 503, "image_store_unavailable")
    assert left(stocked) == []
