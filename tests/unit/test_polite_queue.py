"""Work for many hosts: turns, limits, pauses, ends. The clock is the test's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from image_search.services.collecting.polite import PoliteQueue


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def never() -> bool:
    return False


def taken(queue: PoliteQueue[str], clock: Clock) -> list[str]:
    """Everything that may be taken at this moment, each kept."""
    found: list[str] = []
    while True:
        tries = iter((False, True))
        item = queue.take(give_up=lambda tries=tries: next(tries))
        if item is None:
            return found
        found.append(item[1])


def filled(per_host: int, *items: str) -> tuple[PoliteQueue[str], Clock]:
    """Items like "a1" go to host "a"."""
    clock = Clock()
    queue: PoliteQueue[str] = PoliteQueue(per_host, clock=clock)
    for item in items:
        queue.add(item[0], item)
    return queue, clock


def test_hosts_take_turns_and_none_is_asked_by_more_than_may() -> None:
    queue, clock = filled(2, "a1", "a2", "a3", "a4", "b1", "c1", "c2", "c3")
    assert taken(queue, clock) == ["a1", "b1", "c1", "a2", "c2"]
    queue.release("a")
    assert taken(queue, clock) == ["a3"]
    queue.release("b")
    queue.release("c")
    queue.release("a")
    assert sorted(taken(queue, clock)) == ["a4", "c3"]


def test_a_paused_host_is_left_alone_and_asked_by_fewer_afterwards() -> None:
    queue, clock = filled(4, "a1", "a2", "a3", "a4", "b1")
    queue.pause("a", 10)
    assert taken(queue, clock) == ["b1"]
    clock.now_s += 9.9
    assert taken(queue, clock) == []
    queue.pause("a", 0.05)
    clock.now_s += 0.2
    assert taken(queue, clock) == ["a1"], "twice it was too much: a quarter"
    for _ in range(10):
        queue.went_well("a")
    assert taken(queue, clock) == ["a2"]


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    queue, clock = filled(4, "a1")
    queue.pause("a", 10)
    queue.pause("a", 1)
    clock.now_s += 5
    assert taken(queue, clock) == []


def test_later_is_later_and_first_is_first() -> None:
    queue, clock = filled(9, "a1")
    queue.add("a", "a3", after_s=3)
    queue.add("a", "a2", after_s=2)
    queue.add("a", "a0", first=True)
    assert taken(queue, clock) == ["a0", "a1"]
    clock.now_s += 3.5
    assert taken(queue, clock) == ["a2", "a3"]


def test_the_end_comes_when_nothing_waits_and_nobody_works() -> None:
    queue, _ = filled(1, "a1")
    queue.complete()
    assert queue.take(give_up=never) == ("a", "a1")
    ended = threading.Event()

    def wait() -> object:
        try:
            return queue.take(give_up=never)
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        assert not ended.wait(0.3), "what was taken may come back"
        queue.add("a", "a1 again")
        queue.release("a")
        assert waiting.result() == ("a", "a1 again")
        queue.release("a")
        assert queue.take(give_up=never) is None


def test_what_waits_for_a_host_can_be_dropped() -> None:
    queue, clock = filled(1, "a1", "a2", "b1")
    queue.add("a", "a3", after_s=60)
    assert queue.drop("a") == ["a1", "a2", "a3"]
    queue.complete()
    assert taken(queue, clock) == ["b1"]
    queue.release("b")
    assert queue.take(give_up=never) is None


def test_a_given_up_queue_hands_nothing_out() -> None:
    queue, _ = filled(1, "a1")
    assert queue.take(give_up=lambda: True) is None


def test_the_reader_of_a_long_list_waits() -> None:
    queue, _ = filled(1, "a1", "a2")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.wait_for_room, 2, give_up=never)
        queue.take(give_up=never)
        assert waiting.result() is None
    queue.add("b", "b1")
    queue.wait_for_room(1, give_up=lambda: True)


def test_many_threads_lose_nothing_and_keep_to_the_limit() -> None:
    queue: PoliteQueue[int] = PoliteQueue(3)
    active = {f"h{n}": 0 for n in range(5)}
    most = dict(active)
    lock = threading.Lock()
    done: list[int] = []

    def work() -> None:
        while (item := queue.take(give_up=never)) is not None:
            host, number = item
            with lock:
                active[host] += 1
                most[host] = max(most[host], active[host])
            again = number % 7 == 0 and number < 10_000
            with lock:
                active[host] -= 1
                if not again:
                    done.append(number % 10_000)
            if again:
                queue.add(host, number + 10_000, after_s=0.001)
            queue.release(host)

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        for number in range(700):
            queue.add(f"h{number % 5}", number)
        queue.complete()
        for worker in workers:
            worker.result()
    assert sorted(done) == list(range(700))
    assert max(most.values()) <= 3
