"""What is asked of the stack: ordinary work, a reload under load, its parts killed, many inserts at once."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from PIL import Image, ImageDraw

from deploy.stack.load import BROKE_OFF, Ask, Tally, load, watching
from deploy.stack.processes import Failed, Stack

BOUND_S = 6.0
"""Longer than what Milvus calls bounded: five seconds."""
SETTLED_S = 60.0
"""By then every worker reads what all have written, however busy the machine is."""
AWAITED_S = 300.0
"""What has not come about after so long never will."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    step: str
    result: str


def check(holds: bool, what: str) -> None:
    """Raises Failed."""
    if not holds:
        raise Failed(what)


def check_success(what: str, answer: httpx.Response) -> None:
    """Raises Failed."""
    check(answer.is_success, f"{what}: {answer.status_code} {answer.text[:300]}")


def wait_until(holds: Callable[[], bool], what: str, *, every_s: float = 0.1) -> None:
    """Raises Failed, with what was awaited, where it does not come about."""
    until_s = time.monotonic() + AWAITED_S
    while not holds():
        check(time.monotonic() < until_s, f"not after {AWAITED_S:.0f} s: {what}")
        time.sleep(every_s)


def drawn_pictures(folder: Path, count: int) -> None:
    """Pictures where there are no photos: each one of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:05d}.jpg").write_bytes(own_picture(None, number))


def own_picture(photo: Path | None, number: int) -> bytes:
    """A JPEG unlike all others: a photo, or nothing, with a pattern of the number's own over it."""
    rng = random.Random(number)
    if photo is None:
        image = Image.new("RGB", (240, 180), (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    else:
        image = Image.open(photo).convert("RGB").resize((240, 180))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, edge = rng.randrange(240), rng.randrange(180), rng.randrange(20, 90)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        rng.choice((draw.ellipse, draw.rectangle))((x, y, x + edge, y + edge), fill=colour)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return data.getvalue()


def ingest(stack: Stack, folder: Path) -> Row:
    """A folder through the command, as an operator does it."""
    began_s = time.monotonic()
    report = json.loads(stack.command("ingest", folder, "--json").stdout)
    took_s = time.monotonic() - began_s
    files = {sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg")}
    added, failed = int(report["added"]), [entry["reason"] for entry in report["failed"]]
    check(added + len(failed) == len(files), f"{added} added, {len(failed)} failed of {len(files)} different pictures")
    with stack.client() as client:
        _check_count(client, added)
    check(len(stack.objects()) == added, f"{len(stack.objects())} objects of {added} pictures")
    refused = f"; {len(failed)} refused ({'; '.join(sorted(set(failed)))})" if failed else ""
    return Row("ingest", f"{added:,} pictures in {took_s:.0f} s, as many records and objects{refused}")


def old_and_new_search(stack: Stack, photos: Sequence[Path]) -> Row:
    """Both forms of a search find the picture itself, and its file is there."""
    with stack.client() as client, httpx.Client(verify=stack.web.trust, trust_env=False) as anybody:
        for photo in photos:
            data = photo.read_bytes()
            body = {
                "key": client.headers["X-API-Key"],
                "image": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
            }
            old = anybody.post(f"{stack.web.https}/search/", json=body).json()
            check(old["ok"] is True, f"the old form of search: {old}")
            # An <img> has no key: the address itself carries its permission, for whichever worker it reaches.
            check(anybody.get(old["image1"]).content == data, "the first hit's address leads to another file")
            new = client.post("/search", files={"image": data}).json()
            first = new["results"][0]
            check(first["match"] == "identical", f"a picture of the library finds {first['match']}")
            check(first["id"] == sha256(data).hexdigest(), "another picture than its own is found first")
            again = client.post("/search", json={"query_id": new["query"]["id"], "offset": 1, "top_k": 3})
            check(again.is_success, f"the token of one worker means nothing to another: {again.text[:200]}")
    return Row("old and new search", f"{len(photos)} pictures found first, their files and next pages reached")


def insert_delete_restore(stack: Stack) -> Row:
    """A picture comes, is found by every worker, goes, and comes back."""
    rounds, waits = 10, []
    with stack.client() as client:
        for number in range(rounds):
            data = own_picture(None, 10_000_000 + number)
            inserted = client.post("/insert", files={"image": data})
            check(inserted.status_code == 201, f"insert: {inserted.status_code} {inserted.text[:200]}")
            image_id = inserted.json()["id"]
            waits.append(_until_every_worker(client, data, image_id, there=True))
            check_success("delete", client.delete(f"/images/{image_id}"))
            waits.append(_until_every_worker(client, data, image_id, there=False))
            check_success("restore", client.post(f"/images/{image_id}/restore"))
            check_success("what was restored", client.get(f"/images/{image_id}"))
            gone = client.delete(f"/images/{image_id}", params={"permanently": "true"})
            check_success("delete for good", gone)
    return Row("insert, find, delete, restore", f"{rounds} times; every worker knew after {max(waits):.1f} s at most")


def _until_every_worker(client: httpx.Client, data: bytes, image_id: str, *, there: bool) -> float:
    """Seconds until eight searches in a row, which all workers share, find the picture, or no longer do.

    The worker that wrote knows at once; others read what is a moment old, as Milvus gives it without waiting.
    """
    began_s, in_a_row = time.monotonic(), 0
    known_s = began_s

    def eight() -> bool:
        nonlocal in_a_row, known_s
        found = client.post("/search", files={"image": data})
        check_success("search", found)
        if (image_id in [hit["id"] for hit in found.json()["results"]]) is there:
            in_a_row += 1
        else:
            in_a_row, known_s = 0, time.monotonic()
        return in_a_row >= 8

    wait_until(eight, f"every worker {'finds' if there else 'no longer finds'} {image_id}", every_s=0)
    return known_s - began_s


def numbers_of_all_workers(stack: Stack) -> Row:
    """/metrics tells the requests of all workers, whichever answers."""
    line = re.compile(r'^image_search_requests_total\{method="GET",route="/livez",status="200"\} (\S+)$', re.MULTILINE)
    asked = 20
    with stack.client() as client:

        def told() -> float:
            found = line.search(client.get("/metrics").text)
            return float(found[1]) if found else 0.0

        before = told()
        for _ in range(asked):
            check_success("livez", client.get("/livez"))
        after = [told() for _ in range(8)]
    check(set(after) == {before + asked}, f"metrics: {before} before, {after} after {asked} requests")
    return Row("metrics", f"{asked} requests, told alike by every worker")


def searches(photos: Sequence[Path]) -> Ask:
    """Search by a photo that the library has."""
    bodies = [photo.read_bytes() for photo in photos]

    def ask(client: httpx.Client, turn: int) -> httpx.Response:
        headers = {"Content-Type": "image/jpeg"}
        return client.post("/search", content=bodies[turn % len(bodies)], params={"top_k": 5}, headers=headers)

    return ask


def inserts(first: int) -> Ask:
    """Insert a picture that is new."""

    def ask(client: httpx.Client, turn: int) -> httpx.Response:
        return client.post("/insert", files={"image": own_picture(None, first + turn)})

    return ask


def files_of(photos: Sequence[Path]) -> Ask:
    """The file of a picture that the library has."""
    ids = [sha256(photo.read_bytes()).hexdigest() for photo in photos]
    return lambda client, turn: client.get(f"/images/{ids[turn % len(ids)]}/file")


def reload_under_load(stack: Stack, photos: Sequence[Path], *, times: int) -> Row:
    """New workers in the place of the old ones, while four clients search and insert."""
    asks = {"search": searches(photos), "insert": inserts(20_000_000)}
    with load(stack, asks) as tally:
        for _ in range(times):
            before = set(stack.workers())
            os.kill(stack.api.pid, signal.SIGHUP)
            wait_until(partial(_are_replaced, stack, before), f"new workers in the place of {sorted(before)}")
            time.sleep(1)
    refused = tally.count() - tally.count("200") - tally.count("201")
    check(refused == 0, f"reload: {tally.summary()}; {tally.wrong}")
    return Row(f"reload under load, {times} times", f"{tally.summary()}; none failed, slowest {tally.slowest_s:.1f} s")


def _are_replaced(stack: Stack, before: set[int]) -> bool:
    now = set(stack.workers())
    return not now & before and len(now) >= len(before)


@dataclass(frozen=True)
class Fault:
    """A part that goes away for a while."""

    name: str
    kill: Callable[[Stack], None]
    bring_back: Callable[[Stack], None]
    turns_ready: bool
    """Whether the service as a whole is not ready meanwhile."""
    breaks_answers: bool = False
    """Whether an answer may end half-way: what nginx has begun to pass on it cannot ask for again."""
    longest_s: float = 1000.0
    """Away for longer, it would not come back by itself."""


def _kill_all_workers_but_one(stack: Stack) -> None:
    """gunicorn starts another at once: calling this again and again keeps one away."""
    for pid in stack.workers()[1:]:
        os.kill(pid, signal.SIGKILL)


FAULTS = (
    Fault("Milvus", lambda s: s.milvus.kill(), lambda s: s.milvus.start(), turns_ready=True),
    Fault("the S3 server", lambda s: s.store.kill(), lambda s: s.store.start(), turns_ready=True),
    Fault("one gunicorn worker", _kill_all_workers_but_one, lambda _: None, turns_ready=False, breaks_answers=True),
    # Past its lease in etcd (10 s) Milvus 2.3.5 forgets its own parts, and has to be started anew.
    Fault("Milvus, hanging", lambda s: s.milvus.pause(), lambda s: s.milvus.resume(), turns_ready=True, longest_s=5.0),
)


def fault(stack: Stack, photos: Sequence[Path], which: Fault, *, away_s: float, max_s: float | None) -> Row:
    """A part is gone for `away_s` while four clients search; afterwards everything succeeds, without a restart."""
    asks = {"search": searches(photos), "file": files_of(photos)}
    workers, away_s = stack.workers(), min(away_s, which.longest_s)
    with watching(stack) as watch:
        with load(stack, asks) as tally:
            until_s = time.monotonic() + away_s
            which.kill(stack)
            while time.monotonic() < until_s:
                time.sleep(min(2.0, max(0.0, until_s - time.monotonic())))
                if which.name == "one gunicorn worker" and time.monotonic() < until_s:
                    which.kill(stack)
            which.bring_back(stack)
            watch.returned()
        back_s = stack.wait_until_ready()
        wait_until(lambda: watch.ready_after_s is not None, f"/readyz says that {which.name} is back")
    after = _everything_succeeds(stack, photos)
    said = f"{tally.summary()}; slowest {tally.slowest_s:.1f} s"
    wrong = [found for found in tally.wrong if not (which.breaks_answers and BROKE_OFF in found)]
    check(not wrong, f"{which.name}: {said}; {wrong[:5]}")
    check(tally.count() > 0, f"{which.name}: nothing was asked")
    if which.turns_ready:
        check(watch.not_ready_after_s is not None, f"{which.name}: /readyz did not turn")
        check(tally.count("503 problem") > 0, f"{which.name}: nothing was refused, so nothing was tried")
        check(stack.workers() == workers, f"{which.name}: a worker was started anew")
        said += f"; /readyz turned after {watch.not_ready_after_s:.1f} s"
    if max_s is not None:
        check(tally.slowest_s <= max_s, f"{which.name}: an answer took {tally.slowest_s:.1f} s")
    return Row(f"{which.name} away for {away_s:.0f} s", f"{said}; ready {back_s:.1f} s after its return; then {after}")


def _everything_succeeds(stack: Stack, photos: Sequence[Path]) -> str:
    tally = Tally()
    asks = {"search": searches(photos), "file": files_of(photos), "insert": inserts(random.randrange(10**8, 10**9))}
    with stack.client() as client:
        for turn in range(8):
            for kind, ask in asks.items():
                tally.add(kind, ask(client, turn), 0)
    check(
        tally.count() == tally.count("200") + tally.count("201"), f"after its return: {tally.summary()} {tally.wrong}"
    )
    return f"{tally.count()} of {tally.count()} requests succeeded"


def many_inserts(stack: Stack, photos: Sequence[Path], *, count: int, clients: int = 8) -> list[Row]:
    """So many pictures from all clients at once, one in ten of them from two clients; each is found by itself."""
    # A plain count may be as old as the server's bound, and pictures were inserted just now.
    time.sleep(BOUND_S)
    with stack.client() as client:
        before = _count(client)
    objects = stack.objects()
    pictures = [own_picture(photos[n % len(photos)], 30_000_000 + n) for n in range(count)]
    ids = [sha256(data).hexdigest() for data in pictures]
    check(len(set(ids)) == count, "two of the pictures are the same")
    order = [*range(count), *range(0, count, 10)]
    order.sort(key=lambda n: n)
    # Twins stand beside each other, so that two clients have them at the same moment.
    statuses: list[int] = [0] * len(order)
    local = threading.local()

    def insert(place: int) -> None:
        if not hasattr(local, "client"):
            local.client = stack.client()
        answer = local.client.post("/insert", files={"image": pictures[order[place]]})
        statuses[place] = answer.status_code

    began_s = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(insert, range(len(order))))
    took_s = time.monotonic() - began_s
    created, known = statuses.count(201), statuses.count(200)
    check(created == count and known == len(order) - count, f"{created} x 201, {known} x 200 of {len(order)} inserts")
    with stack.client() as client:
        after = _check_count(client, before + count)
        listed = _all_ids(client)
    check(
        len(listed) == len(set(listed)) == after, f"{len(listed)} listed, {len(set(listed))} different, {after} counted"
    )
    new_objects = {key.split("/")[-1].split(".")[0] for key in stack.objects() - objects}
    check(new_objects == set(ids), f"{len(new_objects)} objects of {count}")
    rows = [
        Row(
            f"{count:,} inserts from {clients} clients at once, {len(order) - count} of them twice",
            f"{created:,} x 201, {known} x 200, {after - before:,} records, {len(new_objects):,} objects, no double; "
            f"{len(order) / took_s:.0f} a second",
        )
    ]

    def find(place: int) -> bool:
        if not hasattr(local, "client"):
            local.client = stack.client(role="user")
        answer = local.client.post("/search", content=pictures[place], headers={"Content-Type": "image/jpeg"})
        check_success("search by an inserted picture", answer)
        first = answer.json()["results"][0]
        return bool(first["id"] == ids[place] and first["match"] == "identical")

    began_s = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        found = sum(pool.map(find, range(count)))
    check(found == count, f"{found} of {count} pictures are found by themselves")
    rate = count / (time.monotonic() - began_s)
    rows.append(Row("each found by its own picture", f"{found:,} of {count:,}; {rate:.0f} searches a second"))
    return rows


def _check_count(client: httpx.Client, expected: int) -> int:
    """The number of records, which must come to what is expected: a plain count is a moment old."""
    until_s = time.monotonic() + SETTLED_S
    while (found := _count(client)) != expected and time.monotonic() < until_s:
        time.sleep(0.5)
    check(found == expected, f"{found} records where {expected} are expected")
    return found


def _count(client: httpx.Client) -> int:
    status = client.get("/status")
    check_success("status", status)
    return int(status.json()["images"])


def _all_ids(client: httpx.Client) -> list[str]:
    ids: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/images", params=params).json()
        ids += [image["id"] for image in page["images"]]
        cursor = page.get("next")
        if not cursor:
            return ids


def stops_gracefully(stack: Stack, photos: Sequence[Path]) -> Row:
    """SIGTERM: what was begun is answered, and the process ends with 0. The last step: nothing serves after it."""
    port = int(stack.env["IMAGE_SEARCH_HTTP_SERVER__PORT"])
    body = b"".join(photo.read_bytes() for photo in photos[:1])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        client.headers["X-API-Key"] = str(stack.client().headers["X-API-Key"])
        with ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(client.post, "/search", content=body, headers={"Content-Type": "image/jpeg"})
                for _ in range(8)
            ]
            wait_until(lambda: any(future.done() for future in asked), "a search is answered", every_s=0.01)
            stack.api.send_signal(signal.SIGTERM)
            answers = []
            for future in asked:
                try:
                    answers.append(future.result().status_code)
                except httpx.ConnectError:
                    answers.append(0)
    code = stack.api.wait(60)
    check(code == 0, f"SIGTERM: the service ended with {code}")
    check(set(answers) <= {200, 0}, f"SIGTERM: {answers}")
    check(urlsplit(stack.web.https).port is not None, "no address")
    with stack.client() as client:
        refused = client.get("/readyz")
    check(refused.status_code == 503, f"without the application nginx says {refused.status_code}")
    return Row(
        "SIGTERM under load", f"{answers.count(200)} running requests answered, ended with 0; then nginx says 503"
    )
