"""Labels by a vote of neighbours."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from image_search.errors import DatasetFormatError, InvalidInput, InvalidParameter
from image_search.tiny.archive import Archive
from image_search.tiny.label import evaluate, read_labels, vote
from image_search.tiny.names import names_path
from image_search.tiny.packing import pack
from tests.conftest import SHARED
from tests.tiny_archives import plain_l2, plain_normalised, random_archive


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        (["a"], "a"),
        (["a", "b", "b"], "b"),
        (["b", "a", "a", "b"], "b"),
        (["c", "a", "b", "b", "a"], "a"),
        (["a", "b", "c"], "a"),
    ],
)
def test_most_votes_win_and_the_nearest_decides_between_equals(labels: list[str], label: str) -> None:
    result = vote(labels)
    assert result.label == label
    assert result.votes == {name: labels.count(name) for name in labels}


def test_no_neighbour_no_label() -> None:
    with pytest.raises(InvalidInput, match="no neighbour"):
        vote([])


def _named(path: Path, names: list[str]) -> Archive:
    random_archive(path, len(names))
    names_path(path).write_text("".join(f"{name}\n" for name in names))
    return Archive(path)


def test_the_first_folder_is_the_label(tmp_path: Path) -> None:
    with _named(tmp_path / "a.bin", ["cat/1.png", "dog/x/2.png", "cat/3.png"]) as archive:
        labels = read_labels(archive)
    assert [labels.of(position) for position in range(3)] == ["cat", "dog", "cat"]
    assert labels.names == ("cat", "dog")


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    with _named(tmp_path / "a.bin", ["cat/1.png", "2.png"]) as archive, pytest.raises(InvalidInput, match="picture 1"):
        read_labels(archive)
    with _named(tmp_path / "b.bin", ["cat/1.png"]) as archive:
        names_path(archive.path).write_text("cat/1.png\ncat/2.png\n")
        with pytest.raises(DatasetFormatError, match="another archive"):
            read_labels(archive)
        names_path(archive.path).unlink()
        with pytest.raises(InvalidInput, match="is missing"):
            read_labels(archive)


def test_a_picture_does_not_vote_for_itself(tmp_path: Path) -> None:
    # 2, 7 and the last one are the same picture.
    names = [f"{'twin' if number in (2, 7) else 'liar' if number == 19 else 'other'}/{number}" for number in range(20)]
    with _named(tmp_path / "a.bin", names) as archive:
        labels = read_labels(archive)
        assert [one.right for one in evaluate(archive, labels, [2, 7, 19], [1], metric="l2")] == [2]
        assert [one.right for one in evaluate(archive, labels, [19], [1, 2], metric="l2")] == [0, 0]
        with pytest.raises(InvalidParameter, match="k"):
            evaluate(archive, labels, [1], [0], metric="l2")
        with pytest.raises(InvalidParameter, match="position"):
            evaluate(archive, labels, [20], [1], metric="l2")
    with _named(tmp_path / "b.bin", ["a/1"]) as archive, pytest.raises(InvalidInput, match="at least 2"):
        evaluate(archive, read_labels(archive), [0], [1], metric="l2")


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """The 15,000 pictures of CIFAR-10 beside the checkout, packed; skips where they are not there."""
    source = SHARED / "data" / "cifar10.tar"
    if not source.is_file():
        pytest.skip("needs ../shared/data/cifar10.tar")
    folder = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(source) as file:
        file.extractall(folder, filter="data")
    report = pack(folder / "cifar10", folder / "cifar10.bin", threads=2)
    assert (report.pictures, report.failed) == (15_000, ())
    with Archive(folder / "cifar10.bin") as archive:
        yield archive


def test_cifar10_is_labelled_as_in_plain_numpy(cifar10: Archive) -> None:
    labels = read_labels(cifar10)
    assert len(labels.names) == 10
    positions = cifar10.sample(4, 1)
    rows = np.fromfile(cifar10.path, np.uint8).reshape(-1, 3072)
    for metric, plain in (("l2", plain_l2), ("normalised", plain_normalised)):
        right = 0
        for position in positions:
            distances = np.concatenate([plain(part, rows[position]) for part in np.array_split(rows, 10)])
            distances[position] = np.inf
            nearest = np.argsort(distances, kind="stable")[:5]
            right += vote([labels.of(int(one)) for one in nearest]).label == labels.of(position)
        found = evaluate(cifar10, labels, positions, [5], metric=metric, threads=2)  # type: ignore[arg-type]
        assert [one.right for one in found] == [right]


def test_normalised_labels_better_than_plain_and_shifted_better_still(cifar10: Archive) -> None:
    """As in the paper; 0.10 is chance. Of all 15,000 it is 0.300 and 0.315 of plain, 0.375 and 0.419 of normalised."""
    labels = read_labels(cifar10)
    positions = cifar10.sample(1500, 0)
    of = {
        metric: [
            one.accuracy
            for one in evaluate(cifar10, labels, positions, [1, 10], metric=metric, threads=2)  # type: ignore[arg-type]
        ]
        for metric in ("l2", "normalised")
    }
    assert 0.2 < of["l2"][0] < of["normalised"][0] - 0.03
    assert of["normalised"][0] < of["normalised"][1]
    some = positions[:300]
    shifted = evaluate(cifar10, labels, some, [1], metric="shifted", threads=2)[0].right
    assert shifted > evaluate(cifar10, labels, some, [1], metric="normalised", threads=2)[0].right
