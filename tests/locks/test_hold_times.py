"""Holds that other threads end: each once, and none lost, at any interleaving."""

from __future__ import annotations

import threading

import pytest
from thread_samples import PATIENCE

from mnemoscope.instrumentation.locks.hold_times import HoldTimes

THREADS, EACH = 4, 3_000


@pytest.mark.usefixtures("hostile_switching")
def test_holds_that_others_end_are_each_ended_once() -> None:
    holds = HoldTimes()
    ended: list[float] = []
    failures: list[BaseException] = []

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    def begin() -> None:
        for _ in range(EACH):
            holds.begin()

    def end() -> None:
        while len(ended) < THREADS * EACH and not failures:
            if (hold := holds.end(whole=False)) is not None:
                ended.append(hold)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (begin, end) * THREADS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not failures
    assert len(ended) == THREADS * EACH
    assert min(ended) >= 0
    assert holds.end() is None
    assert holds.threads() == []


def test_a_hold_taken_again_lasts_from_the_first_taking_to_the_last_release() -> None:
    holds = HoldTimes()
    holds.begin()
    holds.begin()
    assert holds.depth() == 2
    assert holds.end() is None
    assert holds.end() is not None
    assert holds.end() is None


def test_the_longest_hold_of_another_thread_is_the_one_that_is_ended() -> None:
    holds = HoldTimes()
    idents = []
    alive = threading.Event()

    def hold() -> None:
        holds.begin()
        idents.append(threading.get_ident())
        alive.wait(PATIENCE)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(idents) <= number:
            pass
    left = []
    for _ in threads:
        assert holds.end() is not None
        left.append(holds.threads())
    alive.set()
    for thread in threads:
        thread.join()
    assert left == [idents[1:], []]
