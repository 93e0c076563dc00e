"""The demo from start to end: start, work, prove, break, prove, repair, prove, stop."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from mnemoscope import dashboards, tools
from mnemoscope.dashboards import Board
from mnemoscope.errors import MnemoscopeError
from mnemoscope.generation import artifacts
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model import settings
from mnemoscope.model.settings import Settings

from . import interrupts, proofs
from .compose import Stack, engine
from .instances import TRACKS, Instance, Workload
from .prometheus import PrometheusServer, Target, scrape_config
from .report import Report

LIMIT_SECONDS = 165.0
"""How long the proofs may take; the rest of three minutes is for stopping."""

_WARM_UP_SECONDS = 20.0
_TARGETS_SECONDS = 20.0
_DATA_SECONDS = 40.0
_ALERT_SECONDS = 45.0
_PANEL_SECONDS = 20.0
_TICK_SECONDS = 0.2
BOARD = "dual-memory"
"""The board with the panels that the faults move."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject, the alert that has to fire, and the limits that panels of BOARD have to exceed."""

    title: str
    switch: str
    value: float
    alert: str
    severity: str
    panels: Mapping[str, proofs.Limit]


FAULTS = (
    Fault(
        "three in ten storage operations fail",
        "storage_errors",
        0.3,
        "StorageErrorRatioHigh",
        "critical",
        {"storage-error-ratio": proofs.Limit(0.01, Unit.RATIO)},
    ),
    Fault(
        "each hold of the index lock takes 100 ms longer",
        "lock_contention",
        100,
        "LockWaitHigh",
        "warning",
        {
            "lock-wait": proofs.Limit(0.05, Unit.SECONDS),
            "lock-contention": proofs.Limit(0.05, Unit.RATIO),
            "lock-waiters": proofs.Limit(1, Unit.COUNT),
        },
    ),
)
"""The faults, all injected at the same time, on the canary only."""


def run(*, keep: bool = False, folder: Path | None = None, console: Console | None = None) -> int:
    """Run the demo; return 0 if every proof holds, else 1.

    It stops every process that it started, however it ends: success, failure, Ctrl-C, SIGTERM or the time limit.
    Main thread only.

    Args:
        keep: keep everything running after the proofs until Ctrl-C, with Grafana and Alertmanager where a Docker
            engine runs.
        folder: folder for data and logs, by default `.demo` in the current folder. It is removed if all proofs hold.
        console: where to print; standard output by default.

    Raises:
        MnemoscopeError: the demo cannot start, or did not end in time.
    """
    report = Report(console or Console(soft_wrap=True, highlight=False))
    with interrupts.as_exceptions():
        program = tools.find("prometheus")  # before the time limit starts: it may have to download the program
        work = _work_folder(folder or Path(".demo"))
        running, logs_matter = ExitStack(), True
        try:
            interrupts.time_limit(LIMIT_SECONDS, lambda: report.step)
            demo = _start(program, work, keep, running, report)
            _prove(demo, report)
            if keep:
                interrupts.time_limit(0, str)
                _keep(demo, report, running)
            logs_matter = not report.all_hold
        except (KeyboardInterrupt, SystemExit):
            report.print_line(f"stopped by a signal; the step was: {report.step}")
            logs_matter = False
            raise
        finally:
            interrupts.hold_off()
            running.close()
            if logs_matter:
                report.print_line(f"logs are in {work}")
            else:
                _discard(work)
    report.conclude()
    return 0 if report.all_hold else 1


@dataclass(frozen=True, slots=True)
class _Demo:
    work: Path
    settings: Settings
    boards: list[Board]
    instances: list[Instance]
    prometheus: PrometheusServer
    workload: Workload
    stack: Stack | None

    @property
    def generated(self) -> Path:
        return self.work / self.settings.output

    @property
    def pages(self) -> Path:
        return self.work / self.settings.runbooks

    def require_running(self) -> None:
        for child in (*(instance.child for instance in self.instances), self.prometheus.child):
            child.require_running()


def _work_folder(base: Path) -> Path:
    try:
        base.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="run-", dir=base.absolute()))
    except OSError as error:
        raise MnemoscopeError(f"{base}: no folder for the demo can be made there: {error.strerror}") from None


def _discard(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(OSError):  # the folder existed before, or another run uses it
        work.parent.rmdir()


def _start(program: tools.Tool, work: Path, keep: bool, running: ExitStack, report: Report) -> _Demo:
    """Start everything and register its end with `running`, which stops the last started first."""
    report.step = "generate the rules and boards"
    with as_file(files(__package__) / "mnemoscope.yaml") as path:
        site = settings.load(path)
    pack = artifacts.render(site, work)
    artifacts.write(pack)
    docker = engine() if keep else None
    stack = Stack.plan(docker, site) if docker else None

    report.step = "start the reference service"
    instances = []
    for track in TRACKS:
        instance = Instance.start(track, work)
        running.callback(instance.stop)
        instances.append(instance)
        report.print_line(f"     {track}: {instance.url}")
    for instance in instances:
        instance.wait_until_ready()

    report.step = "start Prometheus"
    config = scrape_config(
        site.job,
        [Target(instance.address, {}) for instance in instances],
        scrape_interval=site.scrape_interval,
        evaluation_interval=site.evaluation_interval,
        rule_files=[pack.output / name for name in pack.files if name.startswith("rules/")],
        alertmanagers=[f"127.0.0.1:{stack.alertmanager_port}"] if stack else [],
    )
    assert program.path is not None  # Prometheus is never found in a container
    prometheus = running.enter_context(PrometheusServer(program.path, config, work / "prometheus"))
    report.print_line(f"     Prometheus {program.version} ({program.origin}): {prometheus.url}")
    workload = running.enter_context(Workload([instance.url for instance in instances]))
    return _Demo(work, site, dashboards.build(site), instances, prometheus, workload, stack)


def _prove(demo: _Demo, report: Report) -> None:
    prometheus = demo.prometheus
    report.step = "scrape all targets"
    addresses = [instance.address for instance in demo.instances]
    report.add(proofs.until(lambda: proofs.targets_up(prometheus, addresses), _TARGETS_SECONDS))

    report.step = "run the workload"
    _warm_up(demo, report)
    report.add(demo.workload.proof())

    report.step = "query every panel"
    report.add(proofs.until(lambda: proofs.panels_have_data(prometheus, demo.boards, demo.settings), _DATA_SECONDS))
    report.step = "evaluate every rule"
    report.add(proofs.until(lambda: proofs.rules_evaluate(prometheus), _TARGETS_SECONDS))
    _prove_alerts(demo, report)


def _warm_up(demo: _Demo, report: Report) -> None:
    began = time.monotonic()
    with report.progress("work", _WARM_UP_SECONDS) as advance:
        while (passed := time.monotonic() - began) < _WARM_UP_SECONDS:
            demo.require_running()
            advance(passed, demo.workload.note)
            time.sleep(_TICK_SECONDS)
        advance(_WARM_UP_SECONDS, demo.workload.note)


def _prove_alerts(demo: _Demo, report: Report) -> None:
    """Inject the faults, prove that alerts, links and panels show them, remove them, prove that the alerts resolve."""
    canary = demo.instances[-1]

    report.step = "check that the alerts are inactive before the faults"
    for fault in FAULTS:
        report.add(_alert_is(demo, fault, "inactive"))

    report.step = "wait until the alerts fire"
    before = time.time()
    canary.set_faults({fault.switch: fault.value for fault in FAULTS})
    for fault in FAULTS:
        report.print_line(f"     fault injected on the canary: {fault.title}")
    for fault in FAULTS:
        if report.add(_alert_is(demo, fault, "firing")).holds:
            _prove_links(demo, report, fault)
        _prove_panels(demo, report, fault, before)

    report.step = "wait until the alerts resolve"
    canary.set_faults({})
    report.print_line("     faults removed")
    for fault in FAULTS:
        report.add(_alert_is(demo, fault, "inactive"))


def _alert_is(demo: _Demo, fault: Fault, state: str) -> proofs.Proof:
    return proofs.until(lambda: proofs.alert_is(demo.prometheus, fault.alert, fault.severity, state), _ALERT_SECONDS)


def _prove_links(demo: _Demo, report: Report, fault: Fault) -> None:
    """Prove that the links of a firing alert lead to a page and to a panel."""
    annotations = proofs.alert_annotations(demo.prometheus, fault.alert, fault.severity)
    report.add(proofs.runbook_exists(annotations.get("runbook_url", ""), demo.settings, demo.pages))
    report.add(proofs.panel_exists(annotations.get("dashboard_url", ""), demo.settings, demo.boards))


def _prove_panels(demo: _Demo, report: Report, fault: Fault, before: float) -> None:
    """Prove that the panels show the fault, and showed less at the Unix time `before`."""
    shown = {panel.key: panel for board in demo.boards if board.uid == BOARD for panel in board.panels}
    for key, limit in fault.panels.items():
        moved = partial(proofs.panel_moved, demo.prometheus, shown[key], demo.settings, limit, before)
        report.add(proofs.until(moved, _PANEL_SECONDS))


def _keep(demo: _Demo, report: Report, running: ExitStack) -> None:
    """Keep everything running until Ctrl-C, or until a process ends."""
    addresses = {f"service, {i.track}": f"{i.url}/metrics" for i in demo.instances}
    addresses["Prometheus"] = demo.prometheus.url
    if demo.stack is None:
        report.print_line("     no Docker engine with Compose answers, so there is no Grafana and no Alertmanager")
    else:
        report.step = "start Grafana and Alertmanager"
        running.callback(demo.stack.down)
        try:
            demo.stack.up(demo.generated, demo.prometheus.url)
            addresses |= demo.stack.urls
        except MnemoscopeError as error:
            report.print_line(f"     no Grafana and no Alertmanager: {error}")
    report.step = "keep everything running"
    for name, url in addresses.items():
        report.print_line(f"     {name}: {url}")
    report.print_line("     Ctrl-C stops everything")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            demo.require_running()
            time.sleep(_TICK_SECONDS)
