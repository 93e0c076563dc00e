"""The arguments that `serve` refuses, and its warnings."""

from __future__ import annotations

import base64
import logging
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from exporter_samples import whole_catalog

from mnemoscope.instrumentation.exporters.health import Health
from mnemoscope.instrumentation.exporters.http.endpoints import Endpoints
from mnemoscope.instrumentation.exporters.http.server import serve


def app(**options: Any) -> Endpoints:
    return Endpoints(whole_catalog, Health(), **options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"port": 99999}, "port must be a whole number from 0 to 65535, not 99999"),
        ({"port": -1}, "port must be a whole number from 0 to 65535, not -1"),
        ({"port": "9464"}, "port must be a whole number from 0 to 65535, not '9464'"),
        ({"port": True}, "port must be a whole number from 0 to 65535, not True"),
        ({"port": None}, "port must be a whole number from 0 to 65535, not None"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
        ({"timeout": -2.5}, "timeout must be a number of seconds above 0, not -2.5"),
        ({"timeout": "10s"}, "timeout must be a number of seconds above 0, not '10s'"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds above 0, not nan"),
        ({"timeout": float("inf")}, "timeout must be a number of seconds above 0, not inf"),
        ({"max_connections": 0}, "max_connections must be a whole number from 1 on, not 0"),
        ({"max_connections": 2.5}, "max_connections must be a whole number from 1 on, not 2.5"),
    ],
)
def test_an_argument_that_is_no_use_is_refused_in_one_line(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        serve(app(), **{"port": 0, **arguments})
    assert str(caught.value) == expected


def test_an_address_that_is_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="addr must be a string, an address or a host name, not None"):
        serve(app(), port=0, addr=None)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize(
    "basic_auth",
    [
        "prometheus:secret",
        "ab",
        ("prometheus",),
        ("prometheus", "secret", "x"),
        ("prometheus", None),
        ("", "secret"),
        ("prometheus", ""),
        ("prome:theus", "secret"),
        {"prometheus": "secret"},
        (),
        True,
    ],
)
def test_credentials_of_a_wrong_shape_are_refused_without_showing_them(basic_auth: Any) -> None:
    with pytest.raises(ValueError) as caught:
        serve(app(), port=0, basic_auth=basic_auth)
    assert str(caught.value) == (
        "basic_auth must be (user, password): two strings, neither empty, and no colon in the user"
    )


def test_a_password_from_the_environment_that_is_no_utf_8_works() -> None:
    raw = b"p\xe4ss"
    with serve(app(), port=0, basic_auth=("prometheus", raw.decode("utf-8", "surrogateescape"))) as server:
        sent = base64.b64encode(b"prometheus:" + raw).decode()
        answer = httpx.get(f"{server.url}/metrics", headers={"authorization": f"Basic {sent}"})
        assert answer.status_code == 200


def test_a_key_that_is_encrypted_is_refused_and_no_password_asked_for(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(OSError, match=r"cannot be loaded \(the key is encrypted\)"):
        serve(app(), port=0, certfile=cert, keyfile=key)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_open_address_is_one_warning_that_says_who_reads_what_and_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve(app(debug_locks=dict), port=0, addr="0.0.0.0") as server:
        (warning,) = warnings_of(caplog)
        assert warning == (
            "/metrics /metrics.json /health /ready /debug/locks can be read without a password by every machine that"
            f" reaches 0.0.0.0 port {server.port}: listen on 127.0.0.1, give basic_auth and certfile, or let only"
            " Prometheus through a firewall"
        )
        assert caplog.records[0].name == "mnemoscope"


def test_an_open_address_of_version_6_is_warned_of_too(caplog: pytest.LogCaptureFixture) -> None:
    with serve(app(), port=0, addr="::"):
        assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("addr", ["127.0.0.1", "127.0.0.7", "localhost", "::1"])
def test_loopback_is_no_reason_to_warn(addr: str, caplog: pytest.LogCaptureFixture) -> None:
    with serve(app(), port=0, addr=addr):
        assert warnings_of(caplog) == []


def test_an_open_address_with_a_password_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    with serve(app(), port=0, addr="0.0.0.0", basic_auth=("prometheus", "secret")):
        assert warnings_of(caplog) == []
