"""A private Prometheus on 127.0.0.1: start it with given rules and targets, query it, stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from mnemoscope.errors import MnemoscopeError

from . import processes

_ANSWER_SECONDS = 15.0
START_SECONDS = 30.0
"""How long Prometheus may take until it is ready."""


class Refused(MnemoscopeError):
    """Prometheus answered a request with an error."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address to scrape and the labels that its series get."""

    address: str
    labels: Mapping[str, str]


def scrape_config(
    job: str,
    targets: Sequence[Target],
    *,
    scrape_interval: str,
    evaluation_interval: str,
    rule_files: Sequence[Path] = (),
    alertmanagers: Sequence[str] = (),
    metrics_path: str = "/metrics",
) -> dict[str, Any]:
    """Return the configuration of a Prometheus that scrapes one job."""
    return {
        "global": {"scrape_interval": scrape_interval, "evaluation_interval": evaluation_interval},
        "rule_files": [str(path) for path in rule_files],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        "scrape_configs": [
            {
                "job_name": job,
                "metrics_path": metrics_path,
                "static_configs": [{"targets": [t.address], "labels": dict(t.labels)} for t in targets],
            }
        ],
    }


class PrometheusServer:
    """A Prometheus that runs as a child of this process.

    Args:
        binary: the program.
        config: its configuration, as `scrape_config` returns it.
        folder: folder for its configuration, data and log.
        port: port of 127.0.0.1 to listen on; 0 chooses a free one.

    Leaving the context stops it:

        with PrometheusServer(binary, config, folder) as prometheus:
            prometheus.query("up")
    """

    def __init__(self, binary: Path, config: Mapping[str, Any], folder: Path, *, port: int = 0) -> None:
        self.binary = binary
        self.config = config
        self.folder = folder
        self.port = port
        self._child: processes.Child | None = None
        self._http = httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False)

    @property
    def url(self) -> str:
        """Base address; with port 0, valid after `start`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "prometheus.log"

    def start(self) -> PrometheusServer:
        """Start Prometheus and wait until it is ready.

        Raises:
            MnemoscopeError: the port is in use, the configuration is refused, or it is not ready in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(dict(self.config), sort_keys=False), encoding="utf-8")
        if self.port:
            processes.require_free(self.port, "Prometheus")
        else:
            self.port = processes.free_port()
        command = [
            str(self.binary),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
            *_web_assets(self.binary),
        ]
        self._child = processes.start("Prometheus", command, self.log)
        try:
            self.child.wait_until(self._ready, START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop Prometheus; do nothing if it does not run."""
        self._http.close()
        if self._child is not None:
            self._child.stop()

    def __enter__(self) -> PrometheusServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def child(self) -> processes.Child:
        """The running program.

        Raises:
            MnemoscopeError: it was not started.
        """
        if self._child is None:
            raise MnemoscopeError("Prometheus was not started")
        return self._child

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query, as in the HTTP API (`metric`, `value`).

        A scalar comes back as one series without labels.

        Raises:
            Refused: the query is wrong.
            MnemoscopeError: Prometheus does not answer.
        """
        return _series(self._get("/api/v1/query", query=expression))

    def query_range(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a range query (`metric`, `values`); times are Unix seconds.

        Raises:
            Refused: the query is wrong.
            MnemoscopeError: Prometheus does not answer.
        """
        return _series(self._get("/api/v1/query_range", query=expression, start=start, end=end, step=step))

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule group with its rules, their health and their last error."""
        groups: list[dict[str, Any]] = self._get("/api/v1/rules")["groups"]
        return groups

    def targets(self) -> list[dict[str, Any]]:
        """Return every active target with its health and last error."""
        targets: list[dict[str, Any]] = self._get("/api/v1/targets", state="active")["activeTargets"]
        return targets

    def alerts(self) -> list[dict[str, Any]]:
        """Return every alert that is pending or firing."""
        alerts: list[dict[str, Any]] = self._get("/api/v1/alerts")["alerts"]
        return alerts

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.url}/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _get(self, path: str, **params: str | float) -> Any:
        try:
            answer = self._http.get(self.url + path, params=params)
            body = answer.json()
        except httpx.TransportError as error:
            why = self._why(error)
            raise MnemoscopeError(f"Prometheus at {self.url} does not answer: {why}", exit_code=1) from None
        except ValueError:
            raise MnemoscopeError(f"{self.url}{path} answered {answer.status_code} without JSON") from None
        if body.get("status") != "success":
            raise Refused(f"Prometheus refused {params.get('query', path)!r}: {body.get('error')}", exit_code=1)
        return body["data"]

    def _why(self, error: httpx.TransportError) -> str:
        if self._child is not None and not self._child.running:
            return f"it ended: {self._child.last_words()}"
        return str(error)


def _series(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    if data["resultType"] in ("scalar", "string"):
        return [{"metric": {}, "value": data["result"]}]
    series: list[dict[str, Any]] = data["result"]
    return series


def _web_assets(binary: Path) -> list[str]:
    """Return the flag for the web pages of a distribution's package that was unpacked; other builds embed them."""
    pages = binary.resolve().parent.parent / "share" / "prometheus" / "web"
    return [f"--web.local-assets={pages}/"] if pages.is_dir() else []
