"""Grafana and Alertmanager for the demo, started by Docker Compose where a Docker engine runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings

from . import processes

_PROJECT = "mnemoscope-demo"
_ASK_SECONDS = 30.0
_UP_SECONDS = 600.0
_DOWN_SECONDS = 60.0


def engine() -> str | None:
    """Return the docker program if it has Compose and its engine answers, else None."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    for question in (["info"], ["compose", "version"]):
        try:
            done = subprocess.run(
                [docker, *question], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode != 0:
            return None
    return docker


@dataclass(frozen=True, slots=True)
class Stack:
    """Grafana, with the data source and the boards of the output folder, and Alertmanager.

    Attributes:
        docker: the program, as `engine` found it.
        grafana_port: port of 127.0.0.1; the one in the alerts' dashboard links.
        alertmanager_port: port of 127.0.0.1 that Prometheus sends its alerts to.
    """

    docker: str
    grafana_port: int
    alertmanager_port: int

    @classmethod
    def plan(cls, docker: str, settings: Settings) -> Stack:
        """Return a stack on free ports.

        Raises:
            MnemoscopeError: the port of the settings' Grafana address is taken.
        """
        address = urlsplit(settings.grafana_url)
        grafana = address.port or 3000
        processes.require_free(grafana, "Grafana")
        return cls(docker, grafana, processes.free_port())

    @property
    def urls(self) -> Mapping[str, str]:
        """Name and address of each server."""
        return {
            "Grafana": f"http://127.0.0.1:{self.grafana_port}/dashboards",
            "Alertmanager": f"http://127.0.0.1:{self.alertmanager_port}",
        }

    def up(self, output: Path, prometheus_url: str) -> None:
        """Start both and wait until they are ready; `output` is the folder of the generated files.

        Raises:
            MnemoscopeError: Docker Compose failed; the message includes the last line of its output.
        """
        self._compose(["up", "--detach", "--wait"], self._environment(output, prometheus_url), _UP_SECONDS)

    def down(self) -> None:
        """Stop both and remove their data; print the error if that fails."""
        try:
            self._compose(["down", "--volumes", "--timeout=5"], self._environment(Path(), ""), _DOWN_SECONDS)
        except MnemoscopeError as error:
            print(error)

    def _environment(self, output: Path, prometheus_url: str) -> dict[str, str]:
        return {
            "GENERATED": str(output),
            "PROMETHEUS_URL": prometheus_url,
            "GRAFANA_PORT": str(self.grafana_port),
            "ALERTMANAGER_PORT": str(self.alertmanager_port),
        }

    def _compose(self, words: list[str], environment: Mapping[str, str], seconds: float) -> None:
        file = files(__package__) / "compose.yaml"
        command = [self.docker, "compose", f"--file={file}", f"--project-name={_PROJECT}", *words]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MnemoscopeError(f"docker compose {words[0]} did not end within {seconds:g} s") from None
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            raise MnemoscopeError(f"docker compose {words[0]} failed: {lines[-1].strip()}")
