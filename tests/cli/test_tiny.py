"""`tiny`, as scripts see it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Cli, check_error
from tests.tiny_archives import image_of, packed, plain_l2, random_archive


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """An archive of 40 drawn pictures."""
    return packed(tmp_path)


def picture(number: int, db: Path) -> Path:
    """The file that was packed at this position."""
    return db.parent / f"pictures/{number // 10:02}/{number:03}.png"


def test_pack_and_unpack(cli: Cli, db: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures/notes.txt").write_text("no picture")
    outcome = cli("tiny", "pack", tmp_path / "pictures", "-o", tmp_path / "b.bin", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["pictures"] == 40
    assert [failure["path"] for failure in outcome.json["failed"]] == ["notes.txt"]
    assert (tmp_path / "b.bin").read_bytes() == db.read_bytes()
    check_error(cli("tiny", "pack", tmp_path / "pictures", "-o", db, "--json"), 2, "--force")
    text = cli("tiny", "pack", tmp_path / "pictures", "-o", db, "--force", "--fit", "stretch")
    assert f"40 pictures packed into {db}, 1 failed" in text.out
    assert "notes.txt: not a picture" in text.out
    assert db.read_bytes() != (tmp_path / "b.bin").read_bytes()

    assert cli("tiny", "unpack", db, "3", "17", "-o", tmp_path / "some", "--json").json["pictures"] == 2
    assert {path.name for path in (tmp_path / "some").rglob("*.png")} == {"003.png.png", "017.png.png"}
    check_error(cli("tiny", "unpack", db, "3", "40", "-o", tmp_path / "more", "--json"), 2, "0 to 39")
    check_error(cli("tiny", "unpack", db, "-o", tmp_path / "some", "--json"), 2, "other files")


def test_mosaic(cli: Cli, tmp_path: Path) -> None:
    rows = random_archive(tmp_path / "a.bin", 150)
    outcome = cli("tiny", "mosaic", "--db", tmp_path / "a.bin", "-o", tmp_path / "out.png", "5", "3", "--json")
    assert outcome.json["positions"] == [5, 3]
    with Image.open(tmp_path / "out.png") as image:
        assert image.crop((32, 0, 64, 32)).tobytes() == image_of(rows[3]).tobytes()

    def random(*more: object) -> Any:
        return cli("tiny", "mosaic", "--db", tmp_path / "a.bin", "-o", tmp_path / "out.jpg", "--json", *more).json

    first = random("--seed", 4)
    assert (first["size_px"], len(set(first["positions"]))) == ([320, 320], 100)
    assert random("--seed", 4)["positions"] == first["positions"]
    assert random("--seed", 5)["positions"] != first["positions"]
    few = random("-n", 6, "-c", 2, "--scale", 2, "--order", "column")
    assert (len(few["positions"]), few["size_px"]) == (6, [128, 192])


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["-n", "41"], 2, "40 pictures"),
        (["-n", "0"], 2, "count"),
        (["-n", "2", "1"], 2, "either these or"),
        (["-c", "0"], 2, "columns"),
        (["--scale", "0"], 2, "scale"),
        (["40"], 2, "0 to 39"),
        (["--scale", "200"], 1, "pixels"),
    ],
)
def test_mosaics_that_cannot_be(cli: Cli, db: Path, tmp_path: Path, arguments: list[str], code: int, part: str) -> None:
    check_error(cli("tiny", "mosaic", "--db", db, "-o", tmp_path / "out.png", "--json", *arguments), code, part)
    assert not (tmp_path / "out.png").exists()
    check_error(cli("tiny", "mosaic", "--db", db, "-o", tmp_path / "out.txt", "--json"), 2, "suffix")


def test_knn_prints_score_and_position(cli: Cli, db: Path) -> None:
    outcome = cli("tiny", "knn", "--db", db, picture(17, db), "-k", 4)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "0.0000 17"
    rows = np.fromfile(db, np.uint8).reshape(-1, 3072)
    distances = plain_l2(rows, rows[17])
    order = np.lexsort((np.arange(40), distances))[:4]
    assert lines == [f"{distances[position]:.4f} {position}" for position in order]


def test_knn_of_several(cli: Cli, db: Path, stdin: Callable[[bytes], None]) -> None:
    stdin(picture(5, db).read_bytes())
    outcome = cli("tiny", "knn", "--db", db, picture(2, db), "-", "-k", 2, "--metric", "normalised")
    lines = outcome.out.splitlines()
    assert [lines[0], lines[1]] == [f"# {picture(2, db)}", "0.000000 2"]
    assert [lines[3], lines[4]] == ["# -", "0.000000 5"]


def test_knn_as_json_has_names(cli: Cli, db: Path, tmp_path: Path) -> None:
    mirrored = tmp_path / "mirrored.png"
    with Image.open(picture(9, db)) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    outcome = cli("tiny", "knn", "--db", db, mirrored, "-k", 3, "--metric", "shifted", "--json")
    document = outcome.json
    assert set(document) == {"pictures", "metric", "results", "failed"}
    best = document["results"][0]["neighbours"][0]
    assert (best["position"], best["name"], best["mirrored"]) == (9, "00/009.png", True)
    assert best["score"] < 0.1
    assert [one["score"] for one in document["results"][0]["neighbours"]] == sorted(
        one["score"] for one in document["results"][0]["neighbours"]
    )


def test_a_query_that_is_no_picture_does_not_keep_the_others_from_theirs(cli: Cli, db: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    arguments = ("tiny", "knn", "--db", db, picture(1, db), tmp_path / "notes.txt", tmp_path / "nothing.png", "-k", 1)
    outcome = cli(*arguments)
    assert outcome.code == 1
    assert outcome.out.splitlines() == [f"# {picture(1, db)}", "0.0000 1"]
    assert "notes.txt: not a picture" in outcome.err
    assert "nothing.png" in outcome.err
    outcome = cli(*arguments, "--json")
    assert outcome.code == 1
    assert len(outcome.json["failed"]) == 2
    assert len(outcome.json["results"]) == 1
    outcome = cli("tiny", "knn", "--db", db, tmp_path / "notes.txt", "--json")
    assert (outcome.code, outcome.json["results"]) == (1, [])


def test_all_distances_in_file_order(cli: Cli, db: Path) -> None:
    rows = np.fromfile(db, np.uint8).reshape(-1, 3072)
    one = cli("tiny", "knn", "--db", db, picture(3, db), "--all").out.splitlines()
    assert one == [f"{distance:.4f} {at}" for at, distance in enumerate(plain_l2(rows, rows[3]))]
    two = cli("tiny", "knn", "--db", db, picture(3, db), picture(4, db), "--all").out.splitlines()
    both = zip(plain_l2(rows, rows[3]), plain_l2(rows, rows[4]), strict=True)
    assert two == [f"{first:.4f} {second:.4f} {at}" for at, (first, second) in enumerate(both)]
    for more in ("--json",), ("--metric", "shifted"):
        assert cli("tiny", "knn", "--db", db, picture(3, db), "--all", *more).code == 2


def test_label(cli: Cli, tmp_path: Path) -> None:
    for label, colour in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        for number in range(6):
            path = tmp_path / "in" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (32, 32), colour)
            image.paste((colour[0] - number, 60 + number * 9, colour[2] - number), (number, 3, number + 9, 20))
            image.save(path)
    db = tmp_path / "a.bin"
    cli("tiny", "pack", tmp_path / "in", "-o", db)
    query = tmp_path / "in/red/2.png"
    outcome = cli("tiny", "label", "--db", db, query, "-k", 5, "--metric", "l2")
    assert outcome.out == f"red 5/5 {query}\n"
    answer = cli("tiny", "label", "--db", db, query, tmp_path / "in/blue/2.png", "-k", 8, "--metric", "l2", "--json")
    assert [one["label"] for one in answer.json["results"]] == ["red", "blue"]
    assert answer.json["results"][0]["votes"] == {"red": 6, "blue": 2}
    rows = cli("tiny", "label", "--db", db, "--evaluate", "-k", 3, "--metric", "shifted", "--json").json
    assert [(row["metric"], row["k"], row["queries"]) for row in rows] == [
        (metric, k, 12) for metric in ("l2", "normalised", "shifted") for k in (1, 3)
    ]
    assert [row["accuracy"] for row in rows[:2]] == [1.0, 1.0]
    assert "normalised" in cli("tiny", "label", "--db", db, "--evaluate").out
    check_error(cli("tiny", "label", "--db", db, "--json"), 2, "--evaluate")
    check_error(cli("tiny", "label", "--db", db, query, "--evaluate", "--json"), 2, "--evaluate")
    check_error(cli("tiny", "label", "--db", db, "--evaluate", "--sample", "0", "--json"), 2, "count")


def test_report(cli: Cli, db: Path, tmp_path: Path) -> None:
    outcome = cli("tiny", "report", tmp_path / "pictures/02", "--db", db, "-o", tmp_path / "out", "-k", 3, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json == {"output": str(tmp_path / "out"), "queries": 10, "pages": 10, "failed": []}
    assert (tmp_path / "out/scores/020.png.txt").read_text().splitlines()[0] == "0.0000 20"
    assert "10 queries in" in cli("tiny", "report", tmp_path / "pictures/02", "--db", db, "-o", tmp_path / "out").out


@pytest.mark.parametrize("command", ["knn", "label", "mosaic", "unpack", "report"])
def test_files_that_are_no_archives(cli: Cli, tmp_path: Path, command: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\1" * 5000)
    rest = {
        "knn": ["--db", path, __file__],
        "label": ["--db", path, "--evaluate"],
        "mosaic": ["--db", path, "-o", tmp_path / "out.png"],
        "unpack": [path, "-o", tmp_path / "out"],
        "report": [tmp_path, "--db", path, "-o", tmp_path / "out"],
    }[command]
    check_error(cli("tiny", command, *rest, "--json"), 1, "no multiple of 3,072")
    path.unlink()
    check_error(cli("tiny", command, *rest, "--json"), 2, "cannot be opened")
    path.touch()
    assert cli("tiny", command, *rest, "--json").code != 0 or command == "unpack"


def test_a_stopped_pack_leaves_nothing(tmp_path: Path) -> None:
    packed(tmp_path, 1)
    source = picture(0, tmp_path / "tiny.bin")
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(4_000):
        os.link(source, folder / f"{number}.png")
    command = [sys.executable, "-m", "image_search", "tiny", "pack", str(folder), "-o", str(tmp_path / "b.bin")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("pack: ")
        process.send_signal(signal.SIGINT)
        assert "stopped" in process.stderr.read().lower()
    assert process.returncode == 1
    assert not [path for path in tmp_path.iterdir() if "b.bin" in path.name]


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    """`tiny knn --all | head`"""
    random_archive(tmp_path / "a.bin", 30_000)
    packed(tmp_path, 1)
    query = picture(0, tmp_path / "tiny.bin")
    command = f"{sys.executable} -m image_search tiny knn --db {tmp_path}/a.bin {query} --all | head -2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["0", "1"]
    assert "Traceback" not in done.stderr


def test_a_long_pass_tells_how_fast_it_is(cli: Cli, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_search.cli.tiny_search.MANY", 1)
    outcome = cli("tiny", "knn", "--db", db, picture(1, db), "--json")
    assert outcome.json["results"][0]["neighbours"][0]["position"] == 1
    assert outcome.err.startswith("read: 0.00 of 0.00 GB, ")
    assert " GB/s, " in outcome.err


def test_a_disk_that_is_full_leaves_what_was_there(db: Path, tmp_path: Path) -> None:
    before = db.read_bytes()
    # In blocks of 1,024 bytes; the archive has 120 of them.
    command = f"ulimit -f 40; {sys.executable} -m image_search tiny pack {tmp_path}/pictures --force -o {db} --json"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be written: File too large" in json.loads(done.stdout)["error"]["message"]
    assert db.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "tiny" in path.name) == ["tiny.bin", "tiny.bin.names"]
