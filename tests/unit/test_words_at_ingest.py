"""Words from sidecars and from the pictures themselves on their way into records, and who is believed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.sidecar import read_sidecars
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.metadata.words import NO_WORDS, Words
from image_search.services.ingesting.stages import shard_files
from image_search.services.scanning import Source
from image_search.storage.local_store import LocalImageStore
from image_search.types import ImageRecord
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services
from tests.support import MEAN_COLOUR_MODEL, draw, jpeg
from tests.unit.picture_heads import DC, exif, picture, xmp


def records(services: Services) -> dict[str, ImageRecord]:
    return {r.source_name: r for rs, _ in services.store.iterate("default") for r in rs}


def one(services: Services) -> ImageRecord:
    (record,) = records(services).values()
    return record


def table(**words: Any) -> MetadataTable:
    return MetadataTable.of([("a.jpg", Words(**words))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture, which says something of itself."""
    made = tmp_path / "pictures"
    made.mkdir()
    tags = exif(make="Canon", model="5D", taken="2020:05:06 07:08:09")
    (made / "a.jpg").write_bytes(picture(exif=tags.tobytes(), xmp=xmp(DC)))
    return made


# The picture itself


def test_a_picture_speaks_for_itself(services: Services, folder: Path) -> None:
    services.ingest.run(Source(folder), "default")
    record = one(services)
    assert (record.title, record.tags, record.text) == ("Tom & Jerry", ("cat", "mouse"), "Two\nlines")
    assert record.fields == {"taken_at": "2020-05-06T07:08:09", "camera": "Canon 5D"}
    assert record.created_at_s > 1_700_000_000, "the time of the insert, not of the picture"


def test_it_may_be_told_not_to(services: Services, folder: Path) -> None:
    services.ingest.run(Source(folder), "default", embedded_words=False)
    assert (one(services).title, one(services).tags, one(services).fields) == ("", (), {})


def test_a_single_insert_takes_what_it_is_given(services: Services, folder: Path) -> None:
    outcome = services.library.insert("default", (folder / "a.jpg").read_bytes(), words=Words(title="Given"))
    assert (outcome.record.title, outcome.record.tags, outcome.record.fields) == ("Given", (), {})


# Who is believed


def test_file_before_sidecar_before_picture(services: Services, folder: Path) -> None:
    (folder / "a.jpg.json").write_text(
        json.dumps({"text": "side", "title": "side", "tags": ["side", "Cat"], "n": 1, "m": 1})
    )
    told = table(title="file", tags=("file",), fields={"n": 2}, created_at_s=86400)
    report = services.ingest.run(Source(folder), "default", metadata=told)
    assert (report.added, report.failed, report.warnings, report.cut) == (1, (), (), 0)
    record = one(services)
    assert (record.title, record.text, record.tags) == ("file", "side", ("file", "side", "Cat", "mouse"))
    assert record.fields == {"n": 2, "m": 1, "taken_at": "2020-05-06T07:08:09", "camera": "Canon 5D"}
    assert record.created_at_s == 86400


def test_metadata_that_comes_later_is_believed_before_the_picture(services: Services, folder: Path) -> None:
    services.ingest.run(Source(folder), "default")
    again = services.ingest.run(Source(folder), "default", metadata=table(title="Later", created_at_s=7))
    assert again.unchanged == 1
    assert (one(services).title, one(services).text, one(services).created_at_s) == ("Later", "Two\nlines", 7)


def test_a_changed_sidecar_reaches_a_picture_that_did_not_change(services: Services, folder: Path) -> None:
    side = folder / "a.json"
    side.write_text('{"title": "One", "tags": ["x"], "n": 1}')
    services.ingest.run(Source(folder), "default")
    side.write_text('{"title": "Two", "tags": ["y"], "n": 2}')
    embedded = services.provider.plain.calls
    report = services.ingest.run(Source(folder), "default")
    assert (report.added, report.unchanged, report.duplicates) == (0, 1, 0)
    assert services.provider.plain.calls == embedded
    record = one(services)
    assert (record.title, record.fields["n"]) == ("Two", 2)
    assert set(record.tags) == {"x", "y", "cat", "mouse"}
    side.unlink()
    services.ingest.run(Source(folder), "default")
    assert one(services) == record, "what is not said any more stays"


def test_the_same_sidecar_again_leaves_what_a_person_changed_since(services: Services, folder: Path) -> None:
    (folder / "a.txt").write_text("From the sidecar")
    services.ingest.run(Source(folder), "default")
    assert one(services).title == "From the sidecar"
    edited = replace(one(services), title="Edited", fields={"camera": "another"})
    services.store.update("default", [edited])
    services.ingest.run(Source(folder), "default")
    assert (one(services).title, one(services).fields["camera"]) == ("Edited", "another")
    services.ingest.run(Source(folder), "default", metadata=table(text="new"))
    assert (one(services).text, one(services).title) == ("new", "From the sidecar"), "other words are a newer wish"


def test_words_are_told_to_each_collection(services: Services, folder: Path) -> None:
    for name in ("default", "other"):
        services.ingest.run(Source(folder), name)
    for name in ("default", "other"):
        services.ingest.run(Source(folder), name, metadata=table(title="Told"))
        (record,) = (r for rs, _ in services.store.iterate(name) for r in rs)
        assert record.title == "Told"


def test_a_library_of_an_earlier_version_takes_words_where_it_has_none(services: Services, folder: Path) -> None:
    services.ingest.run(Source(folder), "default", embedded_words=False)
    for file in services.settings.data_dir.glob("scan.sqlite*"):
        file.unlink()
    services.store.update("default", [replace(one(services), text="Mine")])
    services.ingest.run(Source(folder), "default", metadata=table(title="T"))
    assert (one(services).title, one(services).text, one(services).tags) == ("T", "Mine", ("cat", "mouse"))


def test_fields_of_many_tellers_still_fit(services: Services, folder: Path) -> None:
    for turn in range(4):
        fields = {f"{turn} {number}": "x" * 900 for number in range(60)}
        services.ingest.run(Source(folder), "default", metadata=table(fields=fields))
        assert fields.items() <= one(services).fields.items()


def test_what_is_cut_is_counted(services: Services, gallery: Path) -> None:
    (gallery / "red/red_0.txt").write_text("long " * 20_000)
    told = MetadataTable.of([("red_1.jpg", Words(title="x", cut=True))])
    assert services.ingest.run(Source(gallery), "default", metadata=told).cut == 2
    assert services.ingest.run(Source(gallery), "default").cut == 1


# Sidecars


def test_sidecars_are_no_pictures_and_other_files_are_told_of(services: Services, gallery: Path) -> None:
    red, upper = gallery / "red", jpeg(draw((1, 2, 3), mark=3))
    (red / "UPPER.JPG").write_bytes(upper)
    (red / "UPPER.TXT").write_text("Upper")
    (red / "red_0.jpg.json").write_text('{"title": "Zero"}')
    (red / "red_0.txt").write_text("A caption")
    (red / "red_1.json").write_text('{"title": "One"}')
    (red / "red_2.jpg.txt").write_text("\ufeffTwo &amp; a <b>half</b>\n")
    (red / "red_3.txt").write_text("A first line.\nA second one.")
    (red / "red_4.txt").write_text("0 0.5 0.5 0.25 0.25\n12 0.1 0.1 0.2 0.2\n")
    (red / "notes.txt").write_text("words")
    (red / "green_0.json").write_text('{"title": "of another folder"}')
    report = services.ingest.run(Source(gallery), "default")
    assert (report.added, report.warnings) == (16, ())
    assert sorted(f.path for f in report.failed) == ["red/green_0.json", "red/notes.txt"]
    found = records(services)
    assert (found["red/red_0.jpg"].title, found["red/red_0.jpg"].text) == ("Zero", "")
    assert [found[f"red/red_{n}.jpg"].title for n in (1, 2, 3, 4)] == ["One", "Two & a half", "", ""]
    assert found["red/red_3.jpg"].text == "A first line.\nA second one."
    assert found["red/UPPER.JPG"].title == "Upper"
    assert found["green/green_0.jpg"].title == ""


def test_one_sidecar_for_two_pictures_of_one_name(services: Services, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    draw((1, 2, 3)).save(folder / "a.png")
    draw((1, 2, 3)).save(folder / "a.jpg")
    (folder / "a.json").write_text("{broken")
    report = services.ingest.run(Source(folder), "default")
    assert (report.added, report.failed) == (2, ())
    assert [(w.path, w.reason) for w in report.warnings] == [("a.json", "the sidecar: not valid JSON")]


BROKEN: list[tuple[str, bytes, str]] = [
    ("a.json", b"{", "not valid JSON"),
    ("a.json", b"", "not valid JSON"),
    ("a.json", b"[" * 100_000, "not valid JSON"),
    ("a.json", b"[]", "must be an object"),
    ("a.json", b'{"title": 5}', "title must be a text"),
    ("a.json", b'{"created_at": "soon"}', "created_at"),
    ("a.json", b'{"imageData": "' + b"x" * 70_000 + b'"}', "its fields have more than"),
    ("a.json", b" " * 1_000_001, "more than 1,000,000 bytes"),
    ("a.txt", "Käse".encode("latin-1"), "not UTF-8"),
    ("a.jpg.txt", "Käse".encode("utf-16"), "not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "reason"), BROKEN, ids=[f"{n} {r}" for n, _, r in BROKEN])
def test_a_broken_sidecar_is_one_line_and_its_picture_is_there(
    services: Services, folder: Path, name: str, content: bytes, reason: str
) -> None:
    (folder / name).write_bytes(content)
    for run in range(2):
        report = services.ingest.run(Source(folder), "default")
        assert (report.added, report.unchanged, report.failed) == (1 - run, run, ())
        (warning,) = report.warnings
        assert warning.path == name
        assert reason in warning.reason
        assert len(warning.reason) < 200
        assert str(folder) not in warning.reason
    assert one(services).title == "Tom & Jerry"


def test_a_pipe_beside_a_picture_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    words, ((path, reason),) = read_sidecars([tmp_path / "a.txt"])
    assert (words, path.name, reason) == (NO_WORDS, "a.txt", "the sidecar is no regular file")
    assert (
        "cannot be read" in read_sidecars([tmp_path])[1][0][1]
        or "no regular file" in read_sidecars([tmp_path])[1][0][1]
    )


def test_what_photo_services_leave_beside_a_picture(services: Services, folder: Path) -> None:
    (folder / "a.jpg.json").write_text(
        json.dumps(
            {
                "title": "a.jpg",
                "description": "In the hills",
                "geoData": {"latitude": 52.5},
                "url": "https://x",
                "people": [],
            }
        )
    )
    services.ingest.run(Source(folder), "default", embedded_words=False)
    assert (one(services).text, one(services).fields) == ("In the hills", {"url": "https://x"})


def test_pictures_of_a_list_have_sidecars_too(services: Services, folder: Path) -> None:
    (folder / "a.jpg.json").write_text('{"title": "Listed"}')
    (folder / "list").write_text("a.jpg\n")
    report = services.ingest.run(Source(Path(), folder / "list"), "default")
    assert (report.added, report.failed) == (1, ())
    assert one(services).title == "Listed"


def test_the_number_of_candidates_is_told_without_sidecars(folder: Path) -> None:
    (folder / "a.txt").write_text("x")
    (folder / "metadata.csv").write_text("file\n")
    source = Source(folder)
    assert source.count() == len(list(source.candidates())) == 1


# Stages


def test_stages_give_the_same_records_as_a_direct_ingest(services: Services, folder: Path, tmp_path: Path) -> None:
    (folder / "b.jpg").write_bytes(jpeg(draw((1, 2, 3))))
    (folder / "a.jpg.txt").write_text("A caption")
    (folder / "b.txt").write_text("long " * 20_000)
    (folder / "b.json").write_text("{")
    words = tmp_path / "words.jsonl"
    words.write_text('{"filename": "b.jpg", "title": "B", "created_at": 60}\n')
    staged = services.stages.preprocess(Source(folder), services.staged_pictures, metadata=read_jsonl(words))
    assert (staged.added, staged.cut, [w.path for w in staged.warnings]) == (2, 1, ["b.json"])
    services.stages.embed(
        services.staged_pictures,
        services.staged_vectors(services.provider.model_id),
        services.provider.get("none"),
        services.archive_for(MEAN_COLOUR_MODEL),
        batch_size=4,
    )
    services.indexing.add_shards("default", shard_files(services.staged_vectors(services.provider.model_id)))
    library = replace(services.settings.library, data_dir=str(tmp_path / "other"))
    settings = replace(services.settings, library=library)
    settings.data_dir.mkdir()
    direct = replace(
        services, settings=settings, store=MemoryVectorStore(), images=LocalImageStore(settings.data_dir / "i")
    )
    report = direct.ingest.run(Source(folder), "default", metadata=read_jsonl(words))
    assert (report.added, report.cut, [w.path for w in report.warnings]) == (2, 1, ["b.json"])
    seen = [
        {
            name: replace(record, created_at_s=record.created_at_s if name == "b.jpg" else 0)
            for name, record in found.items()
        }
        for found in (records(services), records(direct))
    ]
    assert seen[0] == seen[1]
    assert seen[0]["a.jpg"].title == "A caption"
    assert seen[0]["b.jpg"].created_at_s == 60


def test_stages_may_be_told_not_to_take_a_picture_s_own_words(services: Services, folder: Path) -> None:
    services.stages.preprocess(Source(folder), services.staged_pictures, embedded_words=False)
    (shard,) = shard_files(services.staged_pictures)
    ((staged, _),) = services.shards.read_picture_shard(shard)
    assert (staged[0].title, staged[0].fields) == ("", {})


def test_nobody_says_anything(services: Services, gallery: Path) -> None:
    report = services.ingest.run(Source(gallery), "default", metadata=EMPTY_TABLE)
    assert (report.cut, report.warnings) == (0, ())
    assert {(r.title, r.tags, r.text) for r in records(services).values()} == {("", (), "")}
