"""The HTTP API of the service: a real process, real requests."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from episodic_service import MODULE, QUIET, SENTENCES, Service, lasting, until

from mnemoscope import catalog as m
from mnemoscope.examples.episodic_memory.workload import drive

pytestmark = pytest.mark.slow

# The library's own: it exports them itself once it has something to say.
NOT_THE_SERVICES = {metric for metric in m.CATALOG if metric.name.startswith("instrumentation.")}


def test_an_episode_lives_and_is_recalled_on_every_path(healthy: Service) -> None:
    sentence = "Zebras graze quietly beside a volcanic lake while an agent counts their stripes."
    id = healthy.create(sentence, tags=["zebra"])
    steps = [{"tool": "search", "observation": sentence}, {"tool": "read", "observation": sentence}]
    assert healthy.http.post(f"/episodes/{id}/steps", json={"steps": steps}).json()["steps"] == 2
    completed = healthy.complete(id).json()
    assert (completed["state"], completed["outcome"], completed["tags"]) == ("completed", "success", ["zebra"])
    for path in ("flat", "hierarchical", "blended"):
        assert healthy.recall("zebras beside a volcanic lake", path)[0]["id"] == id
    assert healthy.http.get(f"/episodes/{id}").json()["description"] == sentence


def test_episodes_that_are_alike_become_a_concept(healthy: Service) -> None:
    def concepts() -> int:
        return int(healthy.http.get("/stats").json()["concepts"])

    healthy.http.post("/consolidate")
    before = concepts()
    for _ in range(3):
        healthy.complete(healthy.create("Penguins queue politely for the fish market in Ushuaia."))
    assert healthy.http.post("/consolidate").json()["concepts_formed"] >= 1
    assert concepts() > before
    assert healthy.recall("penguins at the fish market", "hierarchical", k=3)


def test_steps_teach_heuristics(healthy: Service) -> None:
    id = healthy.create()
    steps = [{"tool": "read", "observation": "If it fails , run it again"}, {"tool": "run", "observation": "it works"}]
    healthy.http.post(f"/episodes/{id}/steps", json={"steps": steps})
    learned = healthy.during(lambda: healthy.complete(id))
    assert learned.change(m.PATTERN_HEURISTICS_UPDATED) == 2
    assert learned.change(m.PATTERN_EXTRACTION_DURATION, "count", outcome="ok") == 2


@pytest.mark.parametrize(
    ("limit", "status", "body"),
    [
        ("description", 413, {"description": "x" * 10_001}),
        ("tags", 422, {"tags": ["t"] * 101}),
        ("episode", 413, {"description": "x" * 10_000_001}),
    ],
)
def test_a_new_episode_past_a_limit_is_refused_and_counted(
    healthy: Service, limit: str, status: int, body: dict[str, Any]
) -> None:
    new = {"user": "ada", "description": "d", **body}
    answers: list[httpx.Response] = []
    refused = healthy.during(lambda: answers.append(healthy.http.post("/episodes", json=new)))
    assert answers[0].status_code == status, answers[0].text
    assert refused.change(m.LIMIT_REJECTIONS, limit=limit) == 1
    assert refused.change(m.REQUEST_DURATION, "count", outcome="error") == 0


@pytest.mark.parametrize(
    ("limit", "status", "path", "body"),
    [
        ("observation", 413, "steps", {"steps": [{"tool": "t", "observation": "x" * 10_001}]}),
        ("steps", 422, "steps", {"steps": [{"tool": "t"}] * 1_001}),
        ("artifact", 413, "complete", {"outcome": "success", "artifacts": {"a": "x" * 1_000_001}}),
    ],
)
def test_what_is_added_past_a_limit_is_refused_as_a_whole(
    healthy: Service, limit: str, status: int, path: str, body: dict[str, Any]
) -> None:
    id = healthy.create()
    answers: list[httpx.Response] = []
    refused = healthy.during(lambda: answers.append(healthy.http.post(f"/episodes/{id}/{path}", json=body)))
    assert answers[0].status_code == status, answers[0].text
    assert refused.change(m.LIMIT_REJECTIONS, limit=limit) == 1
    assert healthy.http.get(f"/episodes/{id}").json()["version"] == 1


def test_inputs_at_the_limit_are_taken(healthy: Service) -> None:
    id = healthy.create("x" * 10_000, tags=["t"] * 100)
    full = {"steps": [{"tool": "t"}] * 1_000}
    assert healthy.http.post(f"/episodes/{id}/steps", json=full).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/episodes/999999", None, 404),
        ("GET", "/episodes/one", None, 400),
        ("GET", "/recall", None, 400),
        ("GET", "/recall?q=x&path=sideways", None, 400),
        ("GET", "/recall?q=x&k=0", None, 400),
        ("POST", "/episodes", b"{", 400),
        ("POST", "/episodes", b'{"user": "ada"}', 422),
        ("POST", "/episodes/1/complete", b'{"outcome": "maybe"}', 422),
        ("DELETE", "/episodes/1", None, 405),
        ("GET", "/nothing", None, 404),
    ],
)
def test_a_callers_mistake_is_answered_and_is_no_error_of_the_service(
    healthy: Service, method: str, path: str, body: bytes | None, status: int
) -> None:
    answers: list[httpx.Response] = []
    window = healthy.during(lambda: answers.append(healthy.http.request(method, path, content=body)))
    assert answers[0].status_code == status
    assert window.change(m.REQUEST_DURATION, "count", outcome="error") == 0


def test_an_episode_is_completed_once(healthy: Service) -> None:
    id = healthy.create()
    assert healthy.complete(id).status_code == 200
    assert healthy.complete(id).status_code == 409
    assert healthy.http.post(f"/episodes/{id}/steps", json={"steps": [{"tool": "t"}]}).status_code == 409


def test_every_catalog_metric_is_exported_from_the_start(healthy: Service) -> None:
    metrics = healthy.metrics()
    assert not [metric.name for metric in m.CATALOG if metric not in NOT_THE_SERVICES and not metrics.has(metric)]


def test_locks_are_shown_only_where_that_is_switched_on(healthy: Service, tmp_path: Path) -> None:
    assert healthy.http.get("/debug/locks").status_code == 404
    with Service(tmp_path, "--debug-locks=true", "--seed-episodes=0", *QUIET) as service:
        document = service.http.get("/debug/locks").json()
    assert document["order"] == "off"
    assert document["incidents"] == []


def test_locks_are_taken_in_one_order_whatever_the_service_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNEMOSCOPE_LOCK_ORDER", "on")
    with Service(tmp_path, "--debug-locks=true", "--seed-episodes=20", *QUIET) as service:
        service.live()
        service.recall()
        for job in ("consolidate", "reconcile", "backup"):
            assert service.http.post(f"/{job}").is_success
        document = service.http.get("/debug/locks").json()
        metrics = service.metrics()
    assert ("concept_changes", "concepts") in {(edge["first"], edge["second"]) for edge in document["edges"]}
    assert document["inversions"] == []
    assert (
        metrics.value(m.LOCK_ORDER_INVERSIONS) == metrics.value(m.LOCK_DEADLOCKS) == metrics.value(m.LOCK_STALLS) == 0
    )


def test_gauges_show_what_the_service_holds(healthy: Service) -> None:
    healthy.live(2)
    stats = healthy.http.get("/stats").json()
    metrics = healthy.metrics()
    assert metrics.value(m.INDEX_ENTRIES, index="spatiotemporal") == stats["episodes"]
    assert metrics.value(m.MEMORY_ITEMS, memory="semantic") == stats["concepts"]
    assert metrics.value(m.MEMORY_WEIGHT, memory="episodic") == 0.7
    assert metrics.value(m.COMPLETION_LIMIT) == 20
    assert metrics.value(m.STORAGE_POOL_LIMIT) == 16
    assert metrics.value(m.STORAGE_POOL_CONNECTIONS, state="idle") >= 1
    assert metrics.value(m.STORAGE_WAL_SIZE) > 0
    assert (
        metrics.value(m.STORAGE_CONTENT_SIZE, state="total") >= metrics.value(m.STORAGE_CONTENT_SIZE, state="live") > 0
    )
    assert metrics.value(m.CACHE_ENTRIES) >= stats["episodes"]
    assert metrics.value(m.ROLLOUT_INFO, track="stable", stage="100") == 1
    assert metrics.value(m.ROLLOUT_FEATURE_FLAG, flag="dual_memory") == 1


def test_a_backup_is_proved_and_kept(healthy: Service) -> None:
    window = healthy.during(lambda: healthy.http.post("/backup").raise_for_status())
    for metric in (m.STORAGE_BACKUP_DURATION, m.STORAGE_RESTORE_DURATION, m.STORAGE_UPLOAD_DURATION):
        assert window.change(metric, "count", outcome="ok") == 1
    assert healthy.metrics().value(m.STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP) > 1_700_000_000


def test_reconciliation_of_sound_stores_finds_nothing(healthy: Service) -> None:
    healthy.live()
    window = healthy.during(lambda: healthy.http.post("/reconcile").raise_for_status())
    assert window.change(m.STORAGE_RECONCILIATIONS, outcome="ok") == 1
    assert window.change(m.STORAGE_DIVERGENCE) == 0
    assert window.change(m.STORAGE_CORRUPTION) == 0


def test_without_a_token_requests_are_refused_but_scrapes_are_not(tmp_path: Path) -> None:
    with Service(tmp_path, "--tokens=open-sesame,other", "--seed-episodes=0", *QUIET) as service:
        assert service.http.get("/stats").status_code == 401
        assert service.http.get("/stats", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert service.http.get("/stats", headers={"Authorization": "Bearer open-sesame"}).status_code == 200
        metrics = service.metrics()
    assert metrics.value(m.SERVICE_AUTHENTICATION_DURATION, "count", outcome="refused") == 2
    assert metrics.value(m.SERVICE_AUTHENTICATION_DURATION, "count", outcome="accepted") == 1


def test_a_caller_who_is_too_fast_or_past_the_quota_is_told_to_wait(tmp_path: Path) -> None:
    slow = ("--requests-per-second=0.001", "--burst=3", "--episodes-per-day=1", "--seed-episodes=0")
    new = {"user": "ada", "description": "d"}
    with Service(tmp_path, *slow, *QUIET) as service:
        answers = [service.http.post("/episodes", json=new) for _ in range(4)]
        metrics = service.metrics()
    assert [answer.status_code for answer in answers] == [201, 429, 429, 429]
    assert "Retry-After" in answers[-1].headers
    assert metrics.value(m.LIMIT_QUOTA_EXCEEDED, quota="episodes_per_day") == 2
    assert metrics.value(m.LIMIT_RATE_LIMITED) == 1
    assert metrics.value(m.REQUEST_DURATION, "count", outcome="error") == 0


def test_completions_past_the_queue_are_turned_away(tmp_path: Path) -> None:
    def check(seconds: float) -> None:
        options = ("--completions=1", "--completion-queue=0", f"--fault=slow_index_writes={seconds * 1_000:g}")
        with Service(tmp_path / f"{seconds:g}", *options, "--seed-episodes=0", *QUIET) as service:
            ids = [service.create(sentence) for sentence in SENTENCES[:4]]
            answers: list[httpx.Response] = []
            threads = [threading.Thread(target=lambda id=id: answers.append(service.complete(id))) for id in ids]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            metrics = service.metrics()
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 200
        assert statuses[-1] == 503
        assert metrics.value(m.COMPLETION_REJECTIONS) == statuses.count(503)
        assert metrics.value(m.COMPLETION_IN_FLIGHT_PEAK) == 1
        assert metrics.value(m.COMPLETION_LIMIT) == 1

    lasting(check, 0.5, 5, 20)


def test_old_episodes_are_forgotten_everywhere(tmp_path: Path) -> None:
    with Service(tmp_path, "--retain-episodes=20", "--seed-episodes=60", *QUIET) as service:
        until(lambda: service.metrics().value(m.INDEX_ENTRIES, index="spatiotemporal") == 20)
        window = service.during(lambda: service.http.post("/reconcile").raise_for_status())
        metrics = service.metrics()
    assert window.change(m.STORAGE_DIVERGENCE) == 0
    assert metrics.value(m.CACHE_ENTRIES) == 20
    assert metrics.value(m.STORAGE_COMPACTION_DURATION, "count", outcome="ok") >= 1


async def test_the_workload_drives_several_instances_and_survives_one_that_fails(
    healthy: Service, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    reached = asyncio.Event()

    def watch(progress: Any) -> None:
        if progress.completed >= 5 and progress.failed >= 1:
            reached.set()

    with Service(tmp_path, "--fault=storage_errors=1", "--seed-episodes=0", *QUIET) as broken:
        driving = asyncio.create_task(drive([healthy.url, broken.url], stop, watch, rate=50, backup_every=0))
        try:
            await asyncio.wait_for(reached.wait(), 120)
        finally:
            stop.set()
        progress = await driving
    assert progress.recalled > 0


def test_the_workload_command_prints_its_counts(healthy: Service) -> None:
    command = [sys.executable, "-m", f"{MODULE}.workload", "--url", healthy.url, "--seconds", "1", "--rate", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert " completed, " in done.stdout
    assert done.stdout.rstrip().endswith(" 0 refused, 0 failed")


# Start and shutdown -------------------------------------------------------------------------------


def test_while_loading_it_is_alive_but_not_ready_and_can_be_stopped(tmp_path: Path, free_port: int) -> None:
    service = Service(tmp_path, f"--port={free_port}", "--seed-episodes=100000", *QUIET, wait=False)
    service.http.base_url = httpx.URL(f"http://127.0.0.1:{free_port}")

    def loading() -> dict[str, Any] | None:
        try:
            answer = service.http.get("/ready")
        except httpx.TransportError:
            return None
        assert answer.status_code == 503
        document: dict[str, Any] = answer.json()
        return document if document.get("progress", 0) > 0 else None

    try:
        assert until(loading)["reason"] == "loading"
        assert service.http.get("/health").status_code == 200
        assert service.http.get("/stats").status_code == 503
        assert service.metrics().value(m.SERVICE_READY) == 0
    finally:
        code = service.stop()
    assert code == 0


def test_a_shutdown_lets_requests_end_refuses_new_ones_and_loses_nothing(tmp_path: Path) -> None:
    sentence = "An okapi was seen crossing the bridge at dawn."

    def check(seconds: float) -> None:
        data = tmp_path / f"{seconds:g}"
        answers: list[httpx.Response] = []
        slow = (f"--fault=slow_index_writes={seconds * 1_000:g}", f"--shutdown-linger={seconds:g}")
        with Service(data, *slow, "--seed-episodes=3", *QUIET) as service:
            id = service.create(sentence)
            completing = threading.Thread(target=lambda: answers.append(service.complete(id)))
            completing.start()
            until(lambda: service.metrics().value(m.COMPLETION_IN_FLIGHT) == 1)
            service.process.terminate()
            until(lambda: service.http.get("/ready").status_code == 503)
            assert service.http.get("/ready").json()["reason"] == "shutting down"
            refused = service.http.post("/episodes", json={"user": "ada", "description": "late"})
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            during = service.metrics()
            completing.join()
            after = service.metrics()
            assert service.process.wait(timeout=120) == 0
        assert answers[0].json()["state"] == "completed"
        assert during.value(m.SERVICE_SHUTDOWN_IN_FLIGHT, phase="start") == 1
        assert after.value(m.SERVICE_SHUTDOWN_IN_FLIGHT, phase="end") == 0
        assert after.value(m.SERVICE_SHUTDOWN_DURATION) > 0
        # The log was written back into the file, which alone is the whole store now.
        assert not (data / "memory.sqlite-wal").exists()

        with Service(data, *QUIET) as again:
            assert again.http.get(f"/episodes/{id}").json()["state"] == "completed"
            assert again.recall("okapi on the bridge", "flat")[0]["id"] == id

    lasting(check, 1.5, 10, 25)


def test_ctrl_c_ends_it_gracefully(tmp_path: Path) -> None:
    with Service(tmp_path, "--seed-episodes=0", *QUIET) as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(timeout=120) == 0


def test_requests_that_never_end_do_not_keep_it_from_stopping(tmp_path: Path) -> None:
    options = ("--fault=slow_index_writes=60000", "--shutdown-timeout=0.5", "--seed-episodes=0")
    with Service(tmp_path, *options, *QUIET) as service:
        id = service.create()
        hung = threading.Thread(target=lambda: _cut_off(service, id))
        hung.start()
        until(lambda: service.metrics().value(m.COMPLETION_IN_FLIGHT) == 1)
        service.process.terminate()
        assert service.process.wait(timeout=120) == 1
        hung.join()


def test_what_a_kill_interrupted_is_replayed_from_the_log(tmp_path: Path) -> None:
    with Service(tmp_path, "--seed-episodes=0", *QUIET) as service:
        id = service.create(SENTENCES[0])
        assert service.complete(id).is_success
        service.process.kill()
        service.process.wait()
    assert (tmp_path / "memory.sqlite-wal").stat().st_size > 0
    with Service(tmp_path, *QUIET) as again:
        assert again.recall(SENTENCES[0], "flat")[0]["id"] == id
        metrics = again.metrics()
    assert metrics.value(m.STORAGE_WAL_REPLAY_DURATION, "count", outcome="ok") == 1


def _cut_off(service: Service, id: int) -> None:
    with pytest.raises(httpx.TransportError):
        service.complete(id)
