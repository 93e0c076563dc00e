"""What tests share: the real promtool and Prometheus, free ports, servers that are stopped again, hasty threads."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from support import shared_promtool as shared

from mnemoscope import tools
from mnemoscope.examples.demo import processes
from mnemoscope.examples.demo.prometheus import PrometheusServer, Target, scrape_config


@pytest.fixture(scope="session", autouse=True)
def shared_promtool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let all tests, and the programs that they start, share the answers of one promtool."""
    found = tools.find("promtool")
    base = tmp_path_factory.getbasetemp()
    answers = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "promtool-answers"
    answers.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(shared.REAL, json.dumps(found.prefix))
        patch.setenv(shared.ANSWERS, str(answers))
        patch.setenv("MNEMOSCOPE_PROMTOOL", str(Path(shared.__file__).absolute()))
        yield


@pytest.fixture(scope="session")
def promtool() -> list[str]:
    """The first words of a promtool command line. Where none is found the test fails; it never skips."""
    return list(tools.find("promtool").prefix)


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    """The Prometheus program. Where none is found the test fails; it never skips."""
    path = tools.find("prometheus").path
    assert path is not None
    return path


@pytest.fixture
def hostile_switching() -> Iterator[None]:
    """Threads take turns every microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def free_port() -> int:
    """A free port of 127.0.0.1."""
    return processes.free_port()


class StartPrometheus(Protocol):
    """Type of the `prometheus_server` fixture."""

    def __call__(
        self,
        *,
        rules: Mapping[str, str] | str | None = None,
        targets: Sequence[Target | str] = (),
        job: str = "memory",
        scrape_interval: str = "1s",
        evaluation_interval: str = "1s",
        metrics_path: str = "/metrics",
    ) -> PrometheusServer:
        """Start one; `rules` is the text of a rule file, or several by file name."""


@pytest.fixture
def prometheus_server(prometheus_binary: Path, tmp_path: Path) -> Iterator[StartPrometheus]:
    """Starts a real, ready Prometheus with the given rules and targets; all of them stop with the test."""
    with ExitStack() as running:
        count = 0

        def start(
            *,
            rules: Mapping[str, str] | str | None = None,
            targets: Sequence[Target | str] = (),
            job: str = "memory",
            scrape_interval: str = "1s",
            evaluation_interval: str = "1s",
            metrics_path: str = "/metrics",
        ) -> PrometheusServer:
            nonlocal count
            count += 1
            folder = tmp_path / f"prometheus-{count}"
            folder.mkdir()
            files = {"rules.yaml": rules} if isinstance(rules, str) else dict(rules or {})
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
            config = scrape_config(
                job,
                [target if isinstance(target, Target) else Target(target, {}) for target in targets],
                scrape_interval=scrape_interval,
                evaluation_interval=evaluation_interval,
                rule_files=[folder / name for name in files],
                metrics_path=metrics_path,
            )
            return running.enter_context(PrometheusServer(prometheus_binary, config, folder))

        yield start


@pytest.fixture
def fake_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Writes an executable shell script, each in a separate folder, and returns its path."""

    def write(name: str, script: str) -> Path:
        path = tmp_path_factory.mktemp("bin") / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return write
