"""The settings of a pusher: refused arguments, the environment, and the name of the service."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exporter_samples import lookups, snapshot
from otlp_receivers import grpc_receiver, http_receiver

from mnemoscope.instrumentation.exporters.otlp.pusher import OtlpPusher
from mnemoscope.instrumentation.recording.snapshot import Snapshot

pytestmark = pytest.mark.slow

NEVER = 3600.0
A_URL = "must be http://host:port or https://host:port"
NO_PORT = "cannot be used: Port out of range 0-65535"
NO_TLS_OR_TLS = "has no scheme: write http:// or https:// before it, or give insecure=True or insecure=False"


def snapshot_of_one() -> Snapshot:
    return snapshot(lookups(1, 1))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "mnemoscope" and r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"interval": "15s"}, "interval must be a number of seconds above 0, not '15s'"),
        ({"interval": True}, "interval must be a number of seconds above 0, not True"),
        ({"interval": 0}, "interval must be a number of seconds above 0, not 0"),
        ({"interval": float("nan")}, "interval must be a number of seconds above 0, not nan"),
        ({"interval": float("inf")}, "interval must be a number of seconds above 0, not inf"),
        ({"timeout": "x"}, "timeout must be a number of seconds above 0, not 'x'"),
        ({"timeout": -1}, "timeout must be a number of seconds above 0, not -1"),
        ({"protocol": "http/json"}, "OTLP protocol 'http/json' is unknown; use one of http/protobuf, grpc"),
        ({"insecure": "yes"}, "insecure must be True or False, not 'yes'"),
        ({"insecure": True}, "insecure is for gRPC: over http/protobuf the endpoint begins with http:// or https://"),
        ({"insecure": False}, "insecure is for gRPC: over http/protobuf the endpoint begins with http:// or https://"),
        ({"endpoint": ""}, f"OTLP endpoint '' {A_URL}"),
        ({"endpoint": "collector"}, f"OTLP endpoint 'collector' {A_URL}"),
        (
            {"endpoint": "collector:4318"},
            f"OTLP endpoint 'collector:4318' {A_URL}",
        ),
        (
            {"endpoint": "collector:4318/v1/metrics"},
            f"OTLP endpoint 'collector:4318/v1/metrics' {A_URL}",
        ),
        (
            {"endpoint": "ftp://collector"},
            f"OTLP endpoint 'ftp://collector' {A_URL}",
        ),
        (
            {"endpoint": "http://:4318"},
            f"OTLP endpoint 'http://:4318' {A_URL}",
        ),
        (
            {"endpoint": "http://collector:4318\n"},
            f"OTLP endpoint 'http://collector:4318\\n' {A_URL}",
        ),
        (
            {"endpoint": "http://collector:99999"},
            f"OTLP endpoint 'http://collector:99999' {NO_PORT}",
        ),
        ({"endpoint": "http://[::1"}, "OTLP endpoint 'http://[::1' cannot be used: Invalid IPv6 URL"),
        (
            {"endpoint": "collector:4317", "protocol": "grpc"},
            f"OTLP endpoint 'collector:4317' {NO_TLS_OR_TLS}",
        ),
        (
            {"endpoint": "collector:99999", "protocol": "grpc", "insecure": True},
            f"OTLP endpoint 'collector:99999' {NO_PORT}",
        ),
        (
            {"endpoint": "https://", "protocol": "grpc"},
            f"OTLP endpoint 'https://' {A_URL}",
        ),
        (
            {"endpoint": "https://collector:4317", "protocol": "grpc", "insecure": True},
            "OTLP endpoint 'https://collector:4317' contradicts insecure=True: leave one of the two out",
        ),
        (
            {"endpoint": "http://collector:4317", "protocol": "grpc", "insecure": False},
            "OTLP endpoint 'http://collector:4317' contradicts insecure=False: leave one of the two out",
        ),
        (
            {"headers": {"x token": "secret"}},
            "OTLP header 'x token' must be a name of letters, digits, dashes, dots and underscores",
        ),
        (
            {"headers": {"authorization": "secret\n"}},
            "OTLP header 'authorization' must be one line of ASCII text; check for a line break at its end",
        ),
        (
            {"headers": {"authorization": None}},
            "OTLP header 'authorization' must be one line of ASCII text; check for a line break at its end",
        ),
    ],
)
def test_an_argument_that_is_no_use_is_refused_in_one_line(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        OtlpPusher(snapshot_of_one, **arguments)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"endpoint": b"http://collector"}, "OTLP endpoint must be a string, not b'http://collector'"),
        ({"headers": "authorization=secret"}, "headers must be a mapping from text to text, not str"),
        ({"resource_attributes": "team=memory"}, "resource_attributes must be a mapping from text to text, not str"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_in_one_line(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(TypeError) as caught:
        OtlpPusher(snapshot_of_one, **arguments)
    assert str(caught.value) == expected


def test_a_grpc_address_without_a_scheme_is_taken_with_insecure() -> None:
    with grpc_receiver() as receiver:
        address = receiver.endpoint.removeprefix("http://")
        assert OtlpPusher(snapshot_of_one, address, "grpc", NEVER, insecure=True).close()
        # The receiver speaks no TLS, so this one has to fail.
        assert not OtlpPusher(snapshot_of_one, address, "grpc", NEVER, 0.3, insecure=False).close()
        assert receiver.next_metrics()


def test_header_names_may_have_capitals() -> None:
    for kind, protocol in ((http_receiver, "http/protobuf"), (grpc_receiver, "grpc")):
        with kind() as receiver:
            pusher = OtlpPusher(
                snapshot_of_one, receiver.endpoint, protocol, NEVER, headers={"X-Scope-OrgID": "tenant-1"}
            )
            assert pusher.close()
            assert receiver.next()[1]["x-scope-orgid"] == "tenant-1"


# The environment ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_METRICS_INSECURE"])
@pytest.mark.parametrize("endpoint_given", [True, False])
def test_insecure_may_come_from_the_environment(
    variable: str, endpoint_given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "True")
    with grpc_receiver() as receiver:
        address = receiver.endpoint.removeprefix("http://")
        if not endpoint_given:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        assert OtlpPusher(snapshot_of_one, address if endpoint_given else None, "grpc", NEVER).close()
        assert receiver.next_metrics()


def test_a_scheme_counts_for_more_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "false")
    with grpc_receiver() as receiver:
        assert OtlpPusher(snapshot_of_one, receiver.endpoint, "grpc", NEVER).close()


def test_an_endpoint_of_the_environment_gets_the_path_of_metrics_and_one_for_metrics_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with http_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{receiver.endpoint}/otlp")
        assert OtlpPusher(snapshot_of_one, interval=NEVER).close()
        assert receiver.next()[1][":path"] == "/otlp/v1/metrics"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{receiver.endpoint}/here")
        assert OtlpPusher(snapshot_of_one, interval=NEVER).close()
        assert receiver.next()[1][":path"] == "/here"


@pytest.mark.parametrize(
    ("variable", "value", "protocol", "warning"),
    [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http/protobuf",
            f"nothing is pushed, the environment's OTLP endpoint 'collector:4318' {A_URL}",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:99999", "grpc",
            f"nothing is pushed, the environment's OTLP endpoint 'http://collector:99999' {NO_PORT}",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "grpc",
            "nothing is pushed to OTLP: ValueError: could not convert string to float: 'soon'",
        ),
    ],
)  # fmt: skip
def test_nonsense_in_the_environment_that_makes_pushes_impossible_is_one_warning(
    variable: str,
    value: str,
    protocol: str,
    warning: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(variable, value)
    outcomes: list[str] = []
    pusher = OtlpPusher(snapshot_of_one, None, protocol, NEVER, on_export=outcomes.append)
    assert [pusher.flush(), pusher.flush(), pusher.close()] == [False] * 3
    assert outcomes == ["error"] * 3
    assert warnings_of(caplog) == [warning]


@pytest.mark.parametrize(
    ("variable", "value", "warning"),
    [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json",
            "OTLP protocol 'http/json' of the environment is unknown: http/protobuf is used",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL", "10s",
            "OTEL_METRIC_EXPORT_INTERVAL='10s' is not a number of milliseconds: 10 seconds are used",
        ),
    ],
)  # fmt: skip
def test_nonsense_in_the_environment_that_has_a_default_is_one_warning(
    variable: str, value: str, warning: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, value)
    with http_receiver() as receiver:
        pusher = OtlpPusher(snapshot_of_one, receiver.endpoint)
        assert (pusher.protocol, pusher.interval) == ("http/protobuf", 10.0)
        assert pusher.close()
    assert warnings_of(caplog) == [warning]


# Who pushes ---------------------------------------------------------------------------------------

PUSHING = """
import sys
from mnemoscope.instrumentation.exporters.otlp.pusher import OtlpPusher
from mnemoscope.instrumentation.recording.snapshot import Snapshot

OtlpPusher(lambda: Snapshot("mnemo", 1.0, 2.0, ()), {endpoint!r}, interval=3600, resource_attributes={attributes!r})
"""


def pushed_attributes(
    folder: Path, arguments: list[str], attributes: dict[str, str] | None = None, stdin: bool = False
) -> dict[str, str]:
    """Return the attributes that a program sends, run as a script, a package, a module or a text."""
    with http_receiver() as receiver:
        program = PUSHING.format(endpoint=receiver.endpoint, attributes=attributes)
        (folder / "memory.service").mkdir()
        (folder / "episodes").mkdir()
        (folder / "memory.service" / "worker.v2.py").write_text(program)
        (folder / "memory.service" / "installed-command").write_text(program)
        for name in ("__init__", "__main__", "compact"):
            (folder / "episodes" / f"{name}.py").write_text("" if name == "__init__" else program)
        command = [sys.executable, *(program if argument == "PROGRAM" else argument for argument in arguments)]
        given = program if stdin else ""
        subprocess.run(command, cwd=folder, input=given, text=True, check=True, timeout=60)
        request, _ = receiver.next()
    (resource,) = request.resource_metrics
    return {pair.key: pair.value.string_value for pair in resource.resource.attributes}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["memory.service/worker.v2.py", "--fast"], "worker.v2"),
        (["memory.service/installed-command"], "installed-command"),
        (["-m", "episodes"], "episodes"),
        (["episodes"], "episodes"),
        (["episodes/__main__.py"], "episodes"),
        (["-m", "episodes.compact"], "compact"),
        (["-c", "PROGRAM"], "python"),
        (["-"], "python"),
        ([], "python"),
    ],
)
def test_without_a_name_the_service_is_called_as_the_program(arguments: list[str], name: str, tmp_path: Path) -> None:
    attributes = pushed_attributes(tmp_path, arguments, stdin=arguments in (["-"], []))
    assert attributes["service.name"] == name


def test_a_name_that_is_given_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (variable, value) in enumerate(
        [
            ("OTEL_SERVICE_NAME", "named"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=named"),
            ("PATH_OF_NOTHING", ""),
        ]
    ):
        monkeypatch.setenv(variable, value)
        (folder := tmp_path / str(number)).mkdir()
        given = {"service.name": "named"} if not value else None
        assert pushed_attributes(folder, ["-m", "episodes"], given)["service.name"] == "named"
        monkeypatch.delenv(variable)


def test_text_that_protobuf_cannot_hold_does_not_cost_the_push() -> None:
    with http_receiver() as receiver:
        attributes = {"service.name": "memory\udce4", "team\ud800": "recall"}
        assert OtlpPusher(snapshot_of_one, receiver.endpoint, interval=NEVER, resource_attributes=attributes).close()
        request, _ = receiver.next()
    found = {pair.key: pair.value.string_value for pair in request.resource_metrics[0].resource.attributes}
    assert (found["service.name"], found["team?"]) == ("memory?", "recall")


def test_the_environment_counts_when_the_pusher_is_made_and_nothing_is_looked_up_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "at-set-up")
    with http_receiver() as receiver:
        pusher = OtlpPusher(snapshot_of_one, receiver.endpoint, interval=NEVER)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "later")
        assert pusher.close()
        request, _ = receiver.next()
    found = {pair.key: pair.value.string_value for pair in request.resource_metrics[0].resource.attributes}
    assert found["service.name"] == "at-set-up"


@pytest.mark.parametrize("timeout", [float("inf"), 0.0])
def test_flush_and_close_take_any_timeout(timeout: float) -> None:
    with http_receiver() as receiver:
        pusher = OtlpPusher(snapshot_of_one, receiver.endpoint, interval=NEVER)
        assert pusher.flush(timeout) is (timeout > 0)
        assert pusher.close(timeout) is (timeout > 0)
