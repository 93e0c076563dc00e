"""The recipe for a threshold alert: copy one object, write its page, run `generate` and `check`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.checkout import copied_package

pytestmark = pytest.mark.slow

COPIED, NEW = "CompletionConcurrencyHigh", "CacheTooLarge"

# These alerts have windows of hours and days, whose rule tests take long.
SETTINGS = """\
alerts:
  RecallLatencyBudgetBurn: {enabled: false}
  IndexWriteLatencyBudgetBurn: {enabled: false}
  StorageSuccessBudgetBurn: {enabled: false}
  AvailabilityBudgetBurn: {enabled: false}
  DeadlockDetected: {enabled: false}
  LockOrderInversion: {enabled: false}
thresholds:
  cache_size: {red: 3000000000}
"""

CHANGES = {
    'key="concurrent_completions"': 'key="cache_size"',
    'title="Concurrent completions"': 'title="Cache size"',
    "metric=c.COMPLETION_IN_FLIGHT_PEAK": "metric=c.CACHE_SIZE",
    "unit=Unit.COUNT": "unit=Unit.BYTES",
    'yellow=Decimal("10")': 'yellow=Decimal("1000000000")',
    'red=Decimal("20")': 'red=Decimal("2000000000")',
    f'name="{COPIED}"': f'name="{NEW}"',
    'panel="completions-in-flight"': 'panel="cache-size"',
    'summary="Too many completions run at the same time."': 'summary="A cache is too large."',
    "The peak of concurrent completions in": "The size of the cache {{ $labels.cache }} in",
}


def add_alert(package: Path) -> None:
    """Copy one object and one page, as an engineer would."""
    path = package / "model" / "thresholds.py"
    objects = path.read_text(encoding="utf-8").split("    Threshold(\n")
    copied = next(text for text in objects if f'name="{COPIED}"' in text)
    new = copied
    for old, changed in CHANGES.items():
        assert old in new
        new = new.replace(old, changed)
    path.write_text("    Threshold(\n".join([*objects[:-1], new, objects[-1]]), encoding="utf-8")
    page = (package / "runbooks" / f"{COPIED}.md").read_text(encoding="utf-8")
    (package / "runbooks" / f"{NEW}.md").write_text(page.replace(f"# {COPIED}", f"# {NEW}"), encoding="utf-8")


def mnemoscope(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copied command line in the copied folder; its own folder stays off the import path."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "mnemoscope.cli", *arguments],
        cwd=root / "mnemoscope",
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.prometheus
@pytest.mark.slow
def test_an_object_and_a_page_are_all_that_a_threshold_alert_needs(tmp_path: Path, promtool: list[str]) -> None:
    root = copied_package(tmp_path)
    package = root / "mnemoscope"
    add_alert(package)
    (package / "mnemoscope.yaml").write_text(SETTINGS, encoding="utf-8")

    generated = mnemoscope(root, "generate")
    assert generated.returncode == 0, generated.stderr
    checked = mnemoscope(root, "check")
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "all well"), checked.stdout + checked.stderr

    rules = (package / "generated" / "rules" / "alerts.yaml").read_text(encoding="utf-8")
    assert rules.count(f"alert: {NEW}") == 2
    assert "> 3000000000" in rules
    assert (package / "generated" / "rule-tests" / f"{NEW}.test.yaml").exists()
    assert f"{NEW}.md" in (package / "generated" / "dashboards" / "dual-memory.json").read_text(encoding="utf-8")
    assert f"[{NEW}]({NEW}.md)" in (package / "runbooks" / "README.md").read_text(encoding="utf-8")
    assert "Cache size above 3 GB" in (package / "runbooks" / f"{NEW}.md").read_text(encoding="utf-8")
