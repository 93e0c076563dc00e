"""Sound pages, and small rule packs to check them against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnemoscope import runbooks
from mnemoscope.alerts.model import Alert, Group, Pack, Record
from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings
from mnemoscope.runbooks import facts, loader

ALERT = "LockWaitHigh"
RECORD = "job:mnemo_slo_availability_errors:ratio_rate1h"

PAGE = """\
# LockWaitHigh

<!-- facts:begin -->
<!-- facts:end -->

## Meaning

A lock is slow.

## Impact

Writes are late; see [the index](README.md#by-symptom).

## Diagnosis

1. Which lock?

   ```promql
   sum by (lock) (rate(mnemo_lock_contended_total{mode="write"}[5m]))
   ```

   - If one stands out: go to step 2.

2. Is the process well?

   ```bash
   curl "$SERVICE/ready"
   ```

   - If it is: go to mitigation 1.
   - If it is not: go to [Rollback](#rollback).

## Mitigation

1. Defer writes and watch `mnemo_lock_deferred_depth`.

## Rollback

Roll back when red.
"""

INDEX = """\
# Runbooks

## By symptom

- slow: [LockWaitHigh](LockWaitHigh.md)
- empty panels: [Troubleshooting](Troubleshooting.md)
"""


def zone(settings: Settings, severity: str, name: str = ALERT) -> Alert:
    threshold = settings.threshold("lock_wait_p99")
    limit = threshold.red if severity == "critical" and threshold.red is not None else threshold.yellow
    return Alert(
        name=name,
        expr=f"max by (lock) (mnemo_lock_waiters) > {limit}",
        for_="5m",
        severity=severity,  # type: ignore[arg-type]  # the tests' own words, all of them severities
        summary="Waiting takes too long.",
        description="It is {{ $value }}.",
        board="dual-memory",
        panel="lock-wait",
        threshold=threshold,
        limit=limit,
    )


def pack_of(settings: Settings, *names: str) -> Pack:
    alerts = [zone(settings, severity, name) for name in names for severity in ("warning", "critical")]
    return Pack((Group("records", (Record(RECORD, "vector(0)"),)), Group("alerts", tuple(alerts))))


@dataclass
class Folder:
    """Pages on disk, and the rules that they are checked against."""

    path: Path
    pack: Pack
    settings: Settings

    def write(self, name: str, text: str) -> None:
        if name not in runbooks.GENERAL_PAGES and name in self.pack.alert_names():
            text = loader.with_facts(text, facts.render(name, self.pack, self.settings))
        (self.path / f"{name}.md").write_text(text, encoding="utf-8")

    def edit(self, old: str, new: str, name: str = ALERT) -> None:
        """Replace the one place where `old` stands; the facts are left as they are."""
        path = self.path / f"{name}.md"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path.name}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def lint(self) -> list[Finding]:
        return runbooks.lint(self.path, self.pack, self.settings)
