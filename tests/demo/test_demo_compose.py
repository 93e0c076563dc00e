"""Grafana and Alertmanager start through Docker Compose where an engine runs, and only there."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from string import Template

import pytest
import yaml

from mnemoscope import dashboards
from mnemoscope.errors import MnemoscopeError
from mnemoscope.examples.demo import compose, processes
from mnemoscope.model.settings import Settings

FakeProgram = Callable[[str, str], Path]
Install = Callable[[str], Path]

RECORD = 'echo "$@ | $GRAFANA_PORT $ALERTMANAGER_PORT $GENERATED $PROMETHEUS_URL" >> {log}\n'


@pytest.fixture
def docker(fake_program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that puts a fake docker on PATH; it records its calls, then runs a script."""

    def install(script: str = "exit 0") -> Path:
        program = fake_program("docker", RECORD.format(log=tmp_path / "docker.log") + script)
        monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
        return program

    return install


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: (tmp_path / "docker.log").read_text().splitlines()


@pytest.fixture
def settings() -> Settings:
    return Settings(grafana_url=f"http://127.0.0.1:{processes.free_port()}")


def test_an_engine_with_compose_is_used(docker: Install) -> None:
    program = docker()

    assert compose.engine() == str(program)


@pytest.mark.parametrize("missing", ["info", "compose"])
def test_a_docker_without_a_running_engine_or_without_compose_is_none(docker: Install, missing: str) -> None:
    docker(f'[ "$1" = {missing} ] && exit 1; exit 0')

    assert compose.engine() is None


def test_no_docker_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert compose.engine() is None


def test_up_and_down_pass_ports_folder_and_prometheus_to_the_packaged_file(
    docker: Install, calls: Callable[[], list[str]], settings: Settings, tmp_path: Path
) -> None:
    stack = compose.Stack.plan(str(docker()), settings)

    stack.up(tmp_path, "http://127.0.0.1:9090")
    stack.down()

    up, down = calls()
    file = files("mnemoscope.examples.demo") / "compose.yaml"
    common = f"compose --file={file} --project-name=mnemoscope-demo"
    ports = f"{stack.grafana_port} {stack.alertmanager_port}"
    assert up == f"{common} up --detach --wait | {ports} {tmp_path} http://127.0.0.1:9090"
    assert down.startswith(f"{common} down --volumes --timeout=5 | {ports} ")
    assert f":{stack.grafana_port}" in settings.grafana_url, "the alerts' links must lead to this Grafana"


def test_a_failure_of_compose_is_its_last_line(docker: Install, settings: Settings, tmp_path: Path) -> None:
    stack = compose.Stack.plan(str(docker("echo pulling; echo 'no space left on device' >&2; exit 1")), settings)

    with pytest.raises(MnemoscopeError, match="docker compose up failed: no space left on device"):
        stack.up(tmp_path, "http://127.0.0.1:9090")


def test_a_failure_to_take_it_down_is_told_and_does_not_stop_the_clean_up(
    docker: Install, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    compose.Stack.plan(str(docker("echo 'engine gone' >&2; exit 1")), settings).down()

    assert "docker compose down failed: engine gone" in capsys.readouterr().out


def test_a_taken_grafana_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(MnemoscopeError, match=f"port {port} for Grafana cannot be used"):
            compose.Stack.plan("docker", Settings(grafana_url=f"http://127.0.0.1:{port}"))


def test_the_compose_file_mounts_what_generate_writes_and_sets_what_it_refers_to(tmp_path: Path) -> None:
    settings = Settings()
    boards = dashboards.build(settings)
    written = {path.split("/")[0] for path in dashboards.provisioning_files(settings, boards)} | {"dashboards"}
    text = (files("mnemoscope.examples.demo") / "compose.yaml").read_text(encoding="utf-8")
    stack = compose.Stack("docker", 3000, 9093)

    filled = Template(text).substitute(stack._environment(tmp_path, "http://127.0.0.1:9090"))

    services = yaml.safe_load(filled)["services"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert {Path(source).name for source in mounts} <= written
    assert mounts[f"{tmp_path}/provisioning"] == "/etc/grafana/provisioning"
    provider = yaml.safe_load(
        dashboards.provisioning_files(settings, boards)["provisioning/dashboards/mnemoscope.yaml"]
    )
    assert mounts[f"{tmp_path}/dashboards"] == provider["providers"][0]["options"]["path"]
    (local,) = services["alertmanager"]["volumes"]
    assert (files("mnemoscope.examples.demo") / local.split(":")[0]).is_file()
    assert all(service["image"].rpartition(":")[2] not in ("", "latest") for service in services.values())
