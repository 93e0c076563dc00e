"""The parts of the reference service, each tested separately."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.examples.episodic_memory import corpus, patterns
from mnemoscope.examples.episodic_memory.backup import restore
from mnemoscope.examples.episodic_memory.breaker import CircuitBreaker
from mnemoscope.examples.episodic_memory.cache import EpisodeCache
from mnemoscope.examples.episodic_memory.config import Config
from mnemoscope.examples.episodic_memory.consolidation import MAX_FAN, cluster
from mnemoscope.examples.episodic_memory.embedding import Vector, diversity, embed
from mnemoscope.examples.episodic_memory.errors import Conflict, StartError, TooFast, Unavailable
from mnemoscope.examples.episodic_memory.faults import Faults, FaultSwitches
from mnemoscope.examples.episodic_memory.index import Hit, VectorIndex
from mnemoscope.examples.episodic_memory.limits import DailyQuota, RateLimit
from mnemoscope.examples.episodic_memory.model import Episode, Step
from mnemoscope.examples.episodic_memory.pool import ConnectionPool, PoolExhausted
from mnemoscope.examples.episodic_memory.reconcile import Reconciler
from mnemoscope.examples.episodic_memory.service import EpisodicMemory
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint
from mnemoscope.instrumentation.testing.concurrently import Concurrently


def total(metric: Metric, **labels: str) -> float:
    """Return the sum of the series with these labels in this process; of a histogram, the number of observations."""
    points = [point for family in scope.snapshot().families if family.metric is metric for point in family.points]
    chosen = [p for p in points if labels.items() <= dict(zip(metric.label_names, p.labels, strict=True)).items()]
    return sum(p.observations if isinstance(p, HistogramPoint) else p.value for p in chosen)


def increase(metric: Metric, work: Callable[[], object], **labels: str) -> float:
    before = total(metric, **labels)
    work()
    return total(metric, **labels) - before


def refused(error: type[Exception], work: Callable[[], object]) -> None:
    with pytest.raises(error):
        work()


def an_episode(id: int, description: str = "x") -> Episode:
    return Episode(id, "ada", description, ("tag",), "open", "", 1.5, 1, 0, len(description))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# Embedding and consolidation ----------------------------------------------------------------------


def test_texts_about_the_same_are_nearer_than_others() -> None:
    question = embed("a function that yields values is a generator")
    alike = embed("generators are functions which yield one value after another")
    other = embed("floating point numbers are implemented in hardware")
    assert float(question @ alike) > float(question @ other) + 0.2


def test_an_embedding_is_the_same_everywhere_and_of_length_one() -> None:
    vector = embed("An agent remembers.")
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-6)
    assert np.flatnonzero(vector)[:4].tolist() == np.flatnonzero(embed("an agent REMEMBERS")).tolist()[:4]
    assert not embed("12 + 30").any()


def test_results_that_are_all_alike_are_not_diverse() -> None:
    one, two = embed("a list of items"), embed("an exception was raised")
    assert diversity(np.array([one, one, one])) == pytest.approx(0, abs=1e-6)
    assert diversity(np.array([one, two])) > 0.5
    assert diversity(np.array([one])) == 0


def test_clusters_hold_what_is_alike_and_never_more_than_the_fan_allows() -> None:
    texts = ["yield makes a generator function", "integers have unlimited precision"] * 12
    groups = cluster([(number, embed(text)) for number, text in enumerate(texts)])
    assert [len(group.keys) for group in groups] == [MAX_FAN, MAX_FAN, 2, 2]
    assert all(len({key % 2 for key in group.keys}) == 1 for group in groups)
    assert all(group.concept(1).quality > 0.99 for group in groups)


def test_strategies_see_what_follows_what() -> None:
    steps = [Step("read", "", "If this fails , ask"), Step("ask", "", "it failed"), Step("ask", "", "again")]
    assert patterns.extract(steps) == {
        ("tool_sequence", "read then ask"),
        ("decision_point", "after a condition in read: ask"),
    }


def test_the_corpus_is_english_that_fits_the_limits() -> None:
    known = corpus.tasks()
    assert len(known) > 300
    assert all(len(task.description.encode()) < 10_000 and len(task.sentences) <= 1_000 for task in known)


# Breaker, pool, limits ----------------------------------------------------------------------------


def fail(breaker: CircuitBreaker, error: Exception) -> None:
    with pytest.raises(type(error)), breaker:
        raise error


def test_a_breaker_opens_after_failures_in_a_row_and_closes_by_one_trial() -> None:
    clock = Clock()
    breaker = CircuitBreaker("test", failure=sqlite3.Error, failures=3, reset_after=2, clock=clock)
    fail(breaker, sqlite3.OperationalError())
    fail(breaker, sqlite3.OperationalError())
    with breaker:
        pass
    assert total(m.STORAGE_CIRCUIT_CONSECUTIVE_FAILURES, backend="test") == 0
    for _ in range(3):
        fail(breaker, sqlite3.OperationalError())
    assert total(m.STORAGE_CIRCUIT_STATE, backend="test", state="open") == 1
    with pytest.raises(Unavailable), breaker:
        pass
    clock.now += 2
    with breaker:
        assert total(m.STORAGE_CIRCUIT_STATE, backend="test", state="half_open") == 1
        with pytest.raises(Unavailable), breaker:
            pass
    assert breaker.state == "closed"


def test_a_failed_trial_opens_the_breaker_again() -> None:
    clock = Clock()
    breaker = CircuitBreaker("test", failure=sqlite3.Error, failures=1, reset_after=2, clock=clock)
    fail(breaker, sqlite3.OperationalError())
    clock.now += 2
    fail(breaker, sqlite3.OperationalError())
    assert breaker.state == "open"
    with pytest.raises(Unavailable), breaker:
        pass


def test_other_exceptions_are_no_failure_of_the_backend() -> None:
    breaker = CircuitBreaker("test", failure=sqlite3.Error, failures=1)
    fail(breaker, KeyError())
    assert breaker.state == "closed"


def test_a_pool_makes_callers_wait_and_refuses_them_when_it_takes_too_long() -> None:
    pool = ConnectionPool("test", lambda: sqlite3.connect(":memory:"), limit=1, timeout=0.01)
    with pool.connection():
        assert total(m.STORAGE_POOL_CONNECTIONS, pool="test", state="in_use") == 1
        assert increase(m.STORAGE_POOL_EXHAUSTED, lambda: refused(PoolExhausted, lambda: enter(pool)), pool="test") == 1
    assert total(m.STORAGE_POOL_CONNECTIONS, pool="test", state="idle") == 1
    assert enter(pool) is enter(pool)
    pool.close()


def enter(pool: ConnectionPool) -> sqlite3.Connection:
    with pool.connection() as connection:
        return connection


def test_a_pool_that_cannot_connect_does_not_lose_a_place() -> None:
    places = iter([sqlite3.OperationalError("unable to open"), None])

    def connect() -> sqlite3.Connection:
        error = next(places)
        if error is not None:
            raise error
        return sqlite3.connect(":memory:", check_same_thread=False)

    pool = ConnectionPool("test", connect, limit=1, timeout=0.01)
    with pytest.raises(sqlite3.OperationalError):
        enter(pool)
    enter(pool)
    pool.close()


def test_a_token_bucket_fills_up_again() -> None:
    clock = Clock()
    limit = RateLimit(2, burst=2, clock=clock)
    limit.take()
    limit.take()
    assert increase(m.LIMIT_RATE_LIMITED, lambda: refused(TooFast, limit.take)) == 1
    clock.now += 0.5
    limit.take()


def test_a_daily_quota_starts_again_the_next_day() -> None:
    clock = Clock()
    quota = DailyQuota(1, clock=clock)
    quota.take("ada")
    quota.take("bob")
    assert increase(m.LIMIT_QUOTA_EXCEEDED, lambda: refused(TooFast, lambda: quota.take("ada"))) == 1
    clock.now += 86_400
    quota.take("ada")


# Cache and index ----------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[EpisodeCache]:
    made = EpisodeCache(tmp_path / "cache", 2_000, FaultSwitches(Faults()))
    yield made
    made.close()


def test_a_full_cache_evicts_what_was_used_least_recently(cache: EpisodeCache) -> None:
    for id in range(4):
        cache.put(an_episode(id, "x" * 300))
    assert cache.get(0) == an_episode(0, "x" * 300)
    assert increase(m.CACHE_EVICTIONS, lambda: cache.put(an_episode(9, "x" * 300))) == 1
    assert cache.get(1) is None
    assert cache.get(0) is not None
    assert total(m.CACHE_SIZE) <= 2_000


def test_a_cache_never_fills_its_map_however_much_goes_through_it(cache: EpisodeCache) -> None:
    for id in range(3_000):
        cache.put(an_episode(id, "x" * (id % 1_500)))
    assert 0 < total(m.CACHE_SIZE) <= 2_000


def test_a_cache_is_warm_after_a_restart(tmp_path: Path) -> None:
    for expected in (0, 1):
        cache = EpisodeCache(tmp_path, 10_000, FaultSwitches(Faults()))
        assert total(m.CACHE_ENTRIES) == expected
        cache.put(an_episode(1))
        cache.close()


def test_a_failed_index_write_leaves_the_index_sound() -> None:
    faults = FaultSwitches(Faults(index_errors=1))
    index = VectorIndex("test", faults)
    vector = embed("a generator function")

    with pytest.raises(OSError):
        index.add(1, vector)
    assert increase(m.LOCK_POISONED, lambda: index.search(vector, 3), lock="test") == 1
    assert index.search(vector, 3) == []
    assert total(m.LOCK_POISONED, lock="test") == 1
    faults.current = Faults()
    index.add(1, vector)
    assert [hit.key for hit in index.search(vector, 3)] == [1]
    assert total(m.INDEX_ENTRIES, index="test") == 1


def test_concurrent_searches_share_the_index_and_find_what_each_alone_finds(concurrently: Concurrently) -> None:
    index = VectorIndex("test")
    texts = [sentence for task in corpus.tasks()[:30] for sentence in task.sentences[:10]]
    for key, text in enumerate(texts):
        index.add(key, embed(text), when=1_000.0)
    alone = [index.search(embed(text), 3) for text in texts[:50]]

    def search(number: int) -> list[Hit]:
        return index.search(embed(texts[number]), 3)

    found = concurrently.threads(search, 50, within=60)
    assert [[hit.key for hit in hits] for hits in found] == [[hit.key for hit in hits] for hits in alone]


def test_of_two_that_are_alike_the_recent_one_comes_first() -> None:
    index = VectorIndex("test")
    vector = embed("a generator function")
    index.add(1, vector, when=1_000.0)
    index.add(2, vector)
    index.add(3, embed("integers"))
    assert [hit.key for hit in index.search(vector, 3)][:2] == [2, 1]


# The whole, without HTTP --------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[EpisodicMemory]:
    made = EpisodicMemory(Config(data=tmp_path, seed_episodes=0))
    made.load(lambda _share: None)
    yield made
    made.close()


def lived(memory: EpisodicMemory, text: str = "an agent learns") -> int:
    id = memory.create("ada", text, []).id
    memory.complete(id, "success", {})
    return id


def test_a_stale_value_in_the_cache_is_noticed_counted_and_replaced(memory: EpisodicMemory) -> None:
    old = memory.create("ada", "x", [])
    memory.append(old.id, [Step("read", "", "one")])
    memory._cache.invalidate(old.id)
    memory._cache.put(old)
    assert increase(m.CACHE_STALE_READS, lambda: memory.append(old.id, [Step("read", "", "two")])) == 1
    assert memory.get(old.id).steps == 2


def test_a_version_that_arrives_late_does_not_replace_a_newer_one_in_the_cache(memory: EpisodicMemory) -> None:
    old = memory.create("ada", "x", [])
    new = memory.append(old.id, [Step("read", "", "seen")])
    memory._cache.put(old)
    assert memory.get(old.id) == new


def test_steps_appended_concurrently_are_all_kept(memory: EpisodicMemory) -> None:
    id = memory.create("ada", "x", []).id
    refused: list[Conflict] = []

    def append() -> None:
        for _ in range(20):
            try:
                memory.append(id, [Step("read", "", "seen")])
            except Conflict as error:
                refused.append(error)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.get(id).steps == len(memory._store.load_steps(id)) == 80 - len(refused)


def test_reconciliation_repairs_differences_and_counts_each_kind(memory: EpisodicMemory, tmp_path: Path) -> None:
    missing, kept = lived(memory), lived(memory)
    memory._index.remove(missing)
    memory._index.add(999, embed("left over"))
    memory._cache.put(an_episode(998))
    memory._cache.invalidate(kept)
    memory._cache.put(an_episode(kept))
    reconciler = Reconciler(memory._store, memory._index, memory._cache, grace=0)
    before = total(m.STORAGE_DIVERGENCE)
    found = reconciler.run()
    assert found == {
        "stored_not_indexed": 1,
        "indexed_not_stored": 1,
        "cached_not_durable": 1,
        "durable_not_cached": 1,
    }
    assert total(m.STORAGE_DIVERGENCE) - before == 4
    assert memory._index.keys() == {missing, kept}
    assert reconciler.run() == {}


def test_a_backup_restores_to_the_same_memory(memory: EpisodicMemory, tmp_path: Path) -> None:
    id = lived(memory, "the okapi crossed the bridge")
    backup = Path(memory.backup())
    other = tmp_path / "other"
    other.mkdir()
    restore(backup, other / "memory.sqlite")
    again = EpisodicMemory(Config(data=other, seed_episodes=0))
    again.load(lambda _share: None)
    assert [found.episode.id for found in again.recall("okapi on a bridge", "flat", 1)] == [id]
    again.close()
    with pytest.raises(StartError, match="move it away"):
        restore(backup, other / "memory.sqlite")


def test_a_damaged_backup_is_not_restored(memory: EpisodicMemory, tmp_path: Path) -> None:
    lived(memory)
    backup = Path(memory.backup())
    content = bytearray(backup.read_bytes())
    content[5_000:9_000] = b"\xff" * 4_000
    backup.write_bytes(bytes(content))
    target = tmp_path / "restored.sqlite"
    with pytest.raises(StartError, match="is damaged"):
        restore(backup, target)
    assert not target.exists()


def test_only_the_latest_backups_are_kept(memory: EpisodicMemory) -> None:
    taken = [memory.backup() for _ in range(5)]
    assert [str(path) for path in memory._backups.kept()] == taken[-3:]


def test_a_database_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "memory.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    config = Config(data=tmp_path)
    assert increase(m.STORAGE_FORMAT_UNSUPPORTED, lambda: refused(StartError, lambda: EpisodicMemory(config))) == 1


def test_a_user_outside_the_cohort_recalls_without_semantic_memory(tmp_path: Path) -> None:
    memory = EpisodicMemory(Config(data=tmp_path, seed_episodes=30, cohort=0))
    memory.load(lambda _share: None)
    assert increase(m.FAN_ASSOCIATIONS, lambda: memory.recall("a class", "blended", 3, "ada")) == 0
    assert increase(m.RECALL_DURATION, lambda: memory.recall("a class", "blended", 3), path="flat") == 1
    memory.close()


def test_a_recall_never_waits_for_a_writer_to_note_its_use(memory: EpisodicMemory) -> None:
    id = lived(memory)
    with memory._database.write():
        assert increase(m.LOCK_DEFERRED, lambda: memory.recall("an agent", "flat", 1)) == 1
        assert total(m.LOCK_DEFERRED_DEPTH) == 1
    assert total(m.LOCK_DEFERRED_DEPTH) == 0
    memory.recall("an agent", "flat", 1)
    with memory._database.read() as db:
        assert db.execute("SELECT recalled FROM episodes WHERE id = ?", (id,)).fetchone() == (2,)


def test_free_pages_are_given_back(memory: EpisodicMemory) -> None:
    for _ in range(30):
        id = memory.create("ada", "x" * 9_000, []).id
        memory.complete(id, "success", {})
    memory.measure()
    grown = total(m.STORAGE_CONTENT_SIZE, state="total")
    memory._store.delete(range(1, 29))
    memory.measure()
    assert total(m.STORAGE_CONTENT_SIZE, state="live") < total(m.STORAGE_CONTENT_SIZE, state="total")
    memory.expire()
    memory.measure()
    assert total(m.STORAGE_CONTENT_SIZE, state="total") < grown


def test_vectors_survive_the_store(memory: EpisodicMemory) -> None:
    lived(memory, "a vector is kept")
    kept: Vector = memory._store.vectors(completed_before=float("inf"))[0][2]
    assert np.array_equal(kept, embed("a vector is kept"))
