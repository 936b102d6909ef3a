"""search: by pictures, by words, by both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from image_search.cli.attempts import (
    PICTURE_FAULTS,
    STDIN,
    Attempt,
    attempt,
    exit_if,
    failures,
    file_name,
    naming,
    read_picture,
)
from image_search.cli.context import (
    CliContext,
    collection_option,
    console,
    describe_error,
    emit,
    json_option,
    pass_context,
    say,
)
from image_search.cli.ids import short_id, stored_ids
from image_search.cli.options import CropType, WeightsType, filter_option
from image_search.cli.tables import brief, name_of, plain, print_failures, print_table, size_of
from image_search.errors import ImageNotFound, InvalidParameter
from image_search.filters import Filter
from image_search.ranking import Collapse, Weights
from image_search.services.searching.answer import RankedHit, SearchAnswer
from image_search.services.searching.query import Crop, Query
from image_search.types import ImageRecord, SearchParams
from image_search.wiring import Services

_MATCHES = {"identical": "identical", "near_duplicate": "near-duplicate", "similar": ""}


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, metavar="[FILE]...")
@click.option("--text", metavar="WORDS", help="Words, alone or with a picture.")
@click.option("--text-of", metavar="ID", help="Take the words of this stored picture.")
@click.option("--url", metavar="URL", help="Search with the picture at this address.")
@click.option("--id", "image_id", metavar="ID", help="Search with a picture of the library.")
@click.option("--random", "at_random", is_flag=True, help="Search with some picture of the library.")
@click.option("--unlike", multiple=True, metavar="ID", help="Unlike this stored picture; may be repeated.")
@click.option("--crop", type=CropType(), metavar="L,T,R,B", help="Only this region of the picture, in fractions.")
@click.option("--weights", type=WeightsType(), metavar="IMAGE,TEXT", help="How much picture and words count.")
@filter_option
@click.option(
    "--collapse",
    type=click.Choice(["none", "identical", "near_duplicate"]),
    default="none",
    show_default=True,
    help="Show pictures that are the same only once.",
)
@click.option("--top-k", default=10, show_default=True, metavar="N", type=int, help="Number of results.")
@click.option("--offset", default=0, metavar="N", type=int, help="Skip the first N results.")
@click.option("--min-score", type=float, metavar="S", help="Leave out results below this cosine similarity.")
@click.option("--ef", type=int, metavar="N", help="HNSW: size of the candidate list.")
@click.option("--nprobe", type=int, metavar="N", help="IVF: clusters visited.")
@collection_option
@json_option
@pass_context
def search(
    context: CliContext,
    files: tuple[Path, ...],
    text: str | None,
    text_of: str | None,
    url: str | None,
    image_id: str | None,
    at_random: bool,
    unlike: tuple[str, ...],
    crop: Crop | None,
    weights: Weights | None,
    where: Filter | None,
    collapse: Collapse,
    top_k: int,
    offset: int,
    min_score: float | None,
    ef: int | None,
    nprobe: int | None,
    collection: str | None,
    as_json: bool,
) -> None:
    """Find the pictures most similar to FILE, to words, or to both.

    FILE may be `-` for a picture on stdin. Each of several files is a search of its own; one that is no picture is
    listed, and the others are answered all the same.

    \b
    Examples:
      image-search search photo.jpg
      image-search search photo.jpg --top-k 50 --min-score 0.6 --json
      image-search search --text "red boat" --filter '{"width": {"gte": 1600}}'
      image-search search photo.jpg --text harbour --weights 1,2
      image-search search --id 3b1f5c9a7e02 --unlike 9c2ad03b11f7 --collapse near_duplicate
      image-search search photo.jpg --crop 0,0,0.5,1
      curl -s https://example.org/photo.jpg | image-search search -
    """
    if text is not None and not text.strip():
        raise InvalidParameter("--text", "is empty")
    _check_given(files, url, image_id, at_random, worded=bool(text or text_of))
    if unlike and not (files or url or image_id or at_random):
        raise InvalidParameter("--unlike", "needs a picture that it is taken from")
    name = context.collection(collection)
    params = SearchParams(top_k, offset, min_score, ef, nprobe)
    with context.services() as services:
        taken = _random_picture(services, name) if at_random else None
        query = Query(
            image_url=url,
            image_id=taken.image_id if taken else _one_id(services, name, image_id),
            text=text or "",
            text_of=_one_id(services, name, text_of) or "",
            weights=weights or Weights(),
            negative_ids=tuple(stored_ids(services, name, unlike)),
            crop=crop,
            where=where,
            collapse=collapse,
        )
        if len(files) < 2:
            if files:
                with naming(file_name(files[0])):
                    query = replace(query, image=read_picture(files[0], services.preparer.max_bytes))
            load_ms = _load(services, name) if files or url else 0.0
            with naming(file_name(files[0]) if files else ""):
                answer = services.search.search(name, query, params)

            def text_of_one() -> None:
                if taken:
                    click.echo(f"Searching with {short_id(taken.image_id)} {name_of(taken)}")
                _print_answer(answer, load_ms)

            emit(answer.as_dict(), as_json=as_json, text=text_of_one)
            return
        load_ms = _load(services, name)
        attempts = [
            attempt(file_name(file), partial(_search_file, services, name, query, file, params), PICTURE_FAULTS)
            for file in files
        ]
    emit([_describe(one) for one in attempts], as_json=as_json, text=lambda: _print_blocks(attempts, load_ms))
    exit_if(failures(attempts))


def _check_given(
    files: Sequence[Path], url: str | None, image_id: str | None, at_random: bool, *, worded: bool
) -> None:
    given = [
        option
        for option, value in (("FILE", files), ("--url", url), ("--id", image_id), ("--random", at_random))
        if value
    ]
    if len(given) > 1:
        raise InvalidParameter(given[1], f"and {given[0]} exclude each other: give exactly one picture, or FILEs")
    if not given and not worded:
        raise InvalidParameter("FILE", "is missing: give a FILE, --url, --id or --random, or --text WORDS")
    if files.count(STDIN) > 1:
        raise InvalidParameter("FILE", "stdin (-) is there only once")


def _one_id(services: Services, collection: str, given: str | None) -> str | None:
    return stored_ids(services, collection, [given])[0] if given else None


def _random_picture(services: Services, collection: str) -> ImageRecord:
    found = services.library.random_images(collection)
    if not found:
        raise ImageNotFound(f"collection {collection!r} has no pictures")
    return found[0]


def _search_file(services: Services, collection: str, query: Query, file: Path, params: SearchParams) -> SearchAnswer:
    image = read_picture(file, services.preparer.max_bytes)
    return services.search.search(collection, replace(query, image=image), params)


def _describe(one: Attempt[SearchAnswer]) -> dict[str, Any]:
    if one.result is not None:
        return {"file": one.name, **one.result.as_dict()}
    return {"file": one.name, "error": describe_error(one.error) if one.error else None}


def _load(services: Services, collection: str) -> float:
    """Milliseconds that loading network and codecs took: no part of a search, as a service has it behind it."""
    started = time.perf_counter()
    services.search.warm_up(collection)
    services.preparer.warm_up()
    return (time.perf_counter() - started) * 1000


def _print_blocks(attempts: Sequence[Attempt[SearchAnswer]], load_ms: float) -> None:
    for one in attempts:
        if one.result is not None:
            click.echo(f"{plain(one.name)}:")
            _print_answer(one.result, load_ms)
            load_ms = 0.0
            click.echo()
    if failed := failures(attempts):
        say(f"{len(failed)} of {len(attempts)} could not be searched with:")
        print_failures(failed, err=True)


def _print_answer(answer: SearchAnswer, load_ms: float) -> None:
    out = console()
    offset = answer.params.offset
    if not answer.hits and offset:
        out.print(f"No more results: there are no more than {offset}.")
    elif not answer.hits:
        out.print("Nothing found.")
    else:
        if answer.nothing_close:
            out.print(f"Nothing close: no picture reaches {answer.cut_off or 0:.2f}. The nearest all the same:")
        _print_hits(answer)
    if answer.has_more:
        out.print(f"There are more: --offset {offset + len(answer.hits)}", style="dim")
    timing = answer.timing_ms
    loaded = f"load {load_ms:.1f} ms, " if load_ms else ""
    fetched = f"fetch {timing['fetch']:.1f} ms, " if timing["fetch"] else ""
    out.print(
        f"{loaded}{fetched}decode {timing['decode']:.1f} ms, embed {timing['embed']:.1f} ms, "
        f"search {timing['search']:.1f} ms",
        style="dim",
    )


def _print_hits(answer: SearchAnswer) -> None:
    """One hit a line; both scores and how it was found only where picture and words were asked for."""
    both = answer.query_vector is not None and bool(answer.text)
    scores = ("image", "words", "found by") if both else ("",)
    titles = ("#", "score", *scores, "match", "id", "picture", "size", "title")
    rows = [_row(ranked, both=both) for ranked in answer.hits]
    print_table(titles, rows, right=("#", "score", "image", "words"))


def _row(ranked: RankedHit, *, both: bool) -> list[str]:
    hit = ranked.hit
    if both:
        ways = {(True, True): "both", (True, False): "picture", (False, True): "words"}
        middle = [_score(hit.image_score), _score(hit.text_score), ways.get((hit.by_image, hit.by_text), "")]
    else:
        # BM25 has no upper end to draw a bar for.
        middle = ["█" * max(0, round(hit.score * 12)) if hit.by_image else ""]
    match = _MATCHES[ranked.match] + (f" +{len(hit.hidden)}" if hit.hidden else "")
    record = hit.record
    return [
        str(ranked.rank),
        f"{hit.score:.4f}",
        *middle,
        match.strip(),
        short_id(record.image_id),
        name_of(record),
        size_of(record),
        brief(record.title),
    ]


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"


COMMANDS = (search,)
