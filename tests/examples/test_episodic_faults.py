"""Each fault moves the metric of its alert past the alert's limit, and the metric recovers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from episodic_service import QUIET, SENTENCES, Service, Window, until

from mnemoscope import catalog as m
from mnemoscope.examples.episodic_memory import faults
from mnemoscope.examples.episodic_memory.semantic import QUALITY_LIMIT
from mnemoscope.model import thresholds

pytestmark = pytest.mark.slow

LIMITS = {threshold.key: threshold for threshold in thresholds.THRESHOLDS}


def limit(key: str) -> float:
    return float(LIMITS[key].yellow)


def error_ratio(window: Window) -> float:
    return window.change(m.STORAGE_OPERATION_DURATION, "count", outcome="error") / window.change(
        m.STORAGE_OPERATION_DURATION, "count"
    )


def hit_ratio(window: Window) -> float:
    return window.change(m.CACHE_LOOKUPS, result="hit") / window.change(m.CACHE_LOOKUPS)


def mean_quality(window: Window) -> float:
    return window.change(m.CONCEPT_QUALITY, "sum") / window.change(m.CONCEPT_QUALITY, "count")


def test_storage_errors_raise_the_error_ratio_and_are_counted_by_kind(healthy: Service) -> None:
    def create_many() -> None:
        for sentence in SENTENCES * 5:
            healthy.http.post("/episodes", json={"user": "ada", "description": sentence})

    healthy.faults(storage_errors=0.3)
    broken = healthy.during(create_many)
    assert error_ratio(broken) > limit("storage_error_ratio")
    assert broken.change(m.STORAGE_ERRORS, operation="store_episode") > 0
    healthy.faults()
    until(lambda: healthy.http.post("/episodes", json={"user": "ada", "description": "x"}).is_success)
    assert error_ratio(healthy.during(create_many)) == 0


def test_a_store_that_is_out_opens_the_circuit_which_closes_when_it_is_back(healthy: Service) -> None:
    def answer() -> int:
        return healthy.http.get("/stats").status_code

    healthy.faults(storage_errors=1)
    assert {answer() for _ in range(6)} == {503}
    metrics = healthy.metrics()
    assert metrics.value(m.STORAGE_CIRCUIT_STATE, state="open") == 1
    assert metrics.value(m.STORAGE_CIRCUIT_CONSECUTIVE_FAILURES) >= 5
    healthy.faults()
    until(lambda: answer() == 200)
    metrics = healthy.metrics()
    assert metrics.value(m.STORAGE_CIRCUIT_STATE, state="closed") == 1
    assert metrics.value(m.STORAGE_CIRCUIT_STATE) == 1
    assert metrics.value(m.STORAGE_CIRCUIT_CONSECUTIVE_FAILURES) == 0


def test_slow_index_writes_pass_the_index_limit(healthy: Service) -> None:
    healthy.faults(slow_index_writes=80)
    slow = healthy.during(lambda: healthy.live(2))
    assert slow.above(m.INDEX_WRITE_DURATION, limit("index_write_p99"), index="spatiotemporal") == 1
    healthy.faults()
    until(
        lambda: (
            healthy.during(healthy.live).above(m.INDEX_WRITE_DURATION, limit("index_write_p99"), index="spatiotemporal")
            < 1
        )
    )


def test_index_errors_are_compensated_and_leave_the_episode_open(healthy: Service) -> None:
    id = healthy.create()
    healthy.faults(index_errors=1)
    broken = healthy.during(lambda: healthy.complete(id))
    assert broken.change(m.INDEX_MISSING) == 1
    assert broken.change(m.STORAGE_COMPENSATIONS, outcome="ok") == 1
    assert broken.change(m.INDEX_WRITE_DURATION, "count", outcome="error") == 1
    assert broken.change(m.REQUEST_DURATION, "count", outcome="error") == 1
    assert healthy.http.get(f"/episodes/{id}").json()["state"] == "open"
    healthy.faults()
    assert healthy.complete(id).json()["state"] == "completed"


def test_a_cold_cache_drops_the_hit_ratio(healthy: Service) -> None:
    healthy.recall()
    healthy.faults(cold_cache=True)
    assert hit_ratio(healthy.during(healthy.recall)) == 0
    healthy.faults()
    assert hit_ratio(healthy.during(healthy.recall)) > limit("cache_hit_ratio")


def test_lock_contention_makes_others_wait(healthy: Service) -> None:
    def work_at_once() -> None:
        with ThreadPoolExecutor(8) as pool:
            recalls = [pool.submit(healthy.recall, sentence, "flat") for sentence in SENTENCES]
            lives = [pool.submit(healthy.live, 1) for _ in SENTENCES]
        for work in (*recalls, *lives):
            work.result()

    healthy.faults(lock_contention=60)
    contended = healthy.during(work_at_once)
    assert contended.above(m.LOCK_WAIT_DURATION, limit("lock_wait_p99"), lock="spatiotemporal") > 0.01
    assert contended.above(m.LOCK_HOLD_DURATION, 0.05, lock="spatiotemporal") == 1
    assert contended.change(m.LOCK_CONTENDED, lock="spatiotemporal") > 0
    healthy.faults()

    def recovered() -> bool:
        window = healthy.during(lambda: [healthy.recall(sentence, "flat") for sentence in SENTENCES])
        assert window.change(m.LOCK_CONTENDED, lock="spatiotemporal") == 0
        return window.above(m.LOCK_HOLD_DURATION, 0.05, lock="spatiotemporal") < 1

    until(recovered)


def test_a_high_fan_activates_too_many_associations(healthy: Service) -> None:
    healthy.faults(high_fan=True)
    high = healthy.during(lambda: healthy.recall(path="hierarchical"))
    assert high.above(m.FAN_ASSOCIATIONS, limit("fan_p95")) == 1
    assert high.change(m.FAN_RECALL_DURATION, "count", fan="high") == 1
    healthy.faults()
    assert healthy.during(lambda: healthy.recall(path="hierarchical")).above(m.FAN_ASSOCIATIONS, limit("fan_p95")) == 0


def test_careless_consolidation_forms_poor_concepts_which_are_dissolved_later(healthy: Service) -> None:
    def consolidate() -> None:
        assert healthy.http.post("/consolidate").is_success

    consolidate()
    healthy.faults(low_concept_quality=True)
    healthy.live()
    assert mean_quality(healthy.during(consolidate)) < limit("concept_quality")
    assert healthy.metrics().value(m.SEMANTIC_HEALTH) < 1
    healthy.faults()
    consolidate()
    assert healthy.metrics().value(m.SEMANTIC_HEALTH) == 1
    healthy.live(12)
    assert mean_quality(healthy.during(consolidate)) > limit("concept_quality")


def test_a_concept_counts_as_healthy_by_the_limit_of_the_alert() -> None:
    assert limit("concept_quality") == QUALITY_LIMIT


def test_failing_consolidation_ends_in_an_error_and_changes_nothing(healthy: Service) -> None:
    healthy.live(2)
    healthy.faults(failing_consolidation=True)
    failed = healthy.during(lambda: healthy.http.post("/consolidate"))
    assert failed.change(m.CONSOLIDATION_DURATION, "count", outcome="error") == 1
    assert failed.change(m.CONSOLIDATION_EPISODES) == 0
    healthy.faults()
    worked = healthy.during(lambda: healthy.http.post("/consolidate"))
    assert worked.change(m.CONSOLIDATION_DURATION, "count", outcome="ok") == 1
    assert worked.change(m.CONSOLIDATION_EPISODES) >= 2


def test_a_slow_recall_passes_the_limit_and_goes_on_without_semantic_memory(healthy: Service) -> None:
    def recall_some() -> None:
        for sentence in SENTENCES[:3]:
            assert healthy.recall(sentence)

    healthy.faults(slow_recall=150)
    slow = healthy.during(recall_some)
    assert slow.above(m.RECALL_DURATION, limit("blended_recall_p99"), path="blended") == 1
    assert slow.change(m.MEMORY_SEMANTIC_TIMEOUTS) == 3
    healthy.faults()
    until(lambda: healthy.during(recall_some).above(m.RECALL_DURATION, limit("blended_recall_p99"), path="blended") < 1)


def test_a_canary_is_slower_than_stable_and_says_that_it_is_one(healthy: Service, tmp_path: Path) -> None:
    with Service(tmp_path, "--track=canary", "--stage=25", "--fault=canary_slowdown=150", *QUIET) as canary:
        assert canary.during(canary.recall).above(m.RECALL_DURATION, limit("recall_p99")) == 1
        assert canary.during(lambda: canary.live(1)).above(m.COMPLETION_DURATION, 0.1) == 1
        assert canary.metrics().value(m.ROLLOUT_INFO, track="canary", stage="25") == 1
        canary.faults()

        def fast() -> bool:
            window = canary.during(lambda: [canary.recall(sentence) for sentence in SENTENCES])
            return window.above(m.RECALL_DURATION, limit("recall_p99")) < 1

        until(fast)


def test_the_canary_fault_leaves_stable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(faults, "_pause", pauses.append)
    slow = faults.Faults(canary_slowdown=100)
    faults.FaultSwitches(slow, canary=False).slow_canary()
    assert pauses == []
    faults.FaultSwitches(slow, canary=True).slow_canary()
    assert pauses == [100]


def test_putting_faults_switches_everything_else_off(healthy: Service) -> None:
    healthy.faults(slow_recall=5, cold_cache=True)
    healthy.faults(high_fan=True)
    switched_on = {name for name, value in healthy.http.get("/faults").json().items() if value}
    assert switched_on == {"high_fan"}
    assert healthy.http.put("/faults", json={"gremlins": 1}).status_code == 422
