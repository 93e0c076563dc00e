"""Liveness and readiness."""

from __future__ import annotations

import os

from mnemoscope.instrumentation.exporters.health import Health


def test_health_says_ok_and_for_how_long() -> None:
    health = Health(clock=iter([10.0, 17.5]).__next__)
    assert health.health_document() == {"status": "ok", "uptime_seconds": 7.5}


def test_a_forked_child_has_its_own_uptime() -> None:
    now = [100.0]
    health = Health(clock=lambda: now[0])
    now[0] = 160.0
    child = os.fork()
    if child == 0:
        now[0] = 167.0
        os._exit(int(health.uptime()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert health.uptime() == 60.0


def test_a_new_service_is_ready() -> None:
    assert Health().ready_document() == (200, {"status": "ready"})


def test_a_service_that_is_not_ready_says_why_and_how_far_it_is() -> None:
    health = Health()
    health.set_not_ready("replaying the log", progress=0.25)
    expected = {"status": "unavailable", "reason": "replaying the log", "progress": 0.25}
    assert health.ready_document() == (503, expected)
    health.set_not_ready("draining")
    assert health.ready_document() == (503, {"status": "unavailable", "reason": "draining"})
    health.set_ready()
    assert health.ready_document() == (200, {"status": "ready"})


def test_a_reason_that_is_no_text_is_shown_as_text() -> None:
    health = Health()
    health.add_check("turso", lambda: "no connection")
    health.set_not_ready(TimeoutError("the log is gone"))  # type: ignore[arg-type]  # the point
    assert health.ready_document()[1]["reason"] == "the log is gone; turso: no connection"


def test_every_failing_check_is_named_with_its_reason() -> None:
    health = Health()
    health.add_check("cache", lambda: None)
    assert health.ready_document()[0] == 200
    health.add_check("turso", lambda: "no connection")
    health.add_check("index", lambda: str(1 / 0))
    reason = "turso: no connection; index: ZeroDivisionError: division by zero"
    assert health.ready_document() == (503, {"status": "unavailable", "reason": reason})
    health.remove_check("turso")
    health.remove_check("index")
    health.remove_check("never there")
    assert health.ready_document() == (200, {"status": "ready"})


def test_the_stated_reason_stands_before_those_of_the_checks() -> None:
    health = Health()
    health.add_check("turso", lambda: "no connection")
    health.set_not_ready("starting", 0.5)
    expected = {"status": "unavailable", "reason": "starting; turso: no connection", "progress": 0.5}
    assert health.ready_document() == (503, expected)


def test_a_check_may_be_replaced_while_it_is_asked() -> None:
    health = Health()

    def check() -> None:
        health.add_check("another", lambda: None)
        health.remove_check("check")

    health.add_check("check", check)
    assert health.ready_document() == (200, {"status": "ready"})
