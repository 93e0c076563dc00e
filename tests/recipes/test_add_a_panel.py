"""Recipe: add a panel to a board with one call in one file.

1. Open the module of the section in `dashboards/boards/`; the board `dual-memory` has one module for each section.
2. Copy a call such as `timeseries(...)` in its list, and change the key, the texts and the queries.
3. Run `mnemoscope generate` and `mnemoscope check`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.checkout import copied_package

SECTION = "dashboards/boards/dual_memory/locks.py"
NEXT_PANEL = """\
        timeseries(
            "lock-deferred",
"""
PANEL = """\
        timeseries(
            "lock-deferred-rate",
            "Writes deferred",
            "Writes per second that went to the deferred queue, by lock. If it stays high, lower the ingest rate.",
            PER_SECOND,
            Query(expressions.rate(c.LOCK_DEFERRED, "lock"), "{{lock}}", many=True),
            width=6,
        ),
"""

BUILD_AND_LINT = """
import json
from mnemoscope import alerts, dashboards
from mnemoscope.model.settings import Settings

settings = Settings()
boards = dashboards.build(settings)
print(json.dumps({
    "source": dashboards.__file__,
    "board": json.loads(dashboards.render(boards[0])),
    "findings": [str(finding) for finding in dashboards.lint(boards, alerts.build(settings), settings)],
}))
"""


def test_one_call_in_one_file_adds_a_panel(tmp_path: Path) -> None:
    root = copied_package(tmp_path)
    section = root / "mnemoscope" / SECTION
    text = section.read_text(encoding="utf-8")
    assert text.count(NEXT_PANEL) == 1
    section.write_text(text.replace(NEXT_PANEL, PANEL + NEXT_PANEL), encoding="utf-8")

    run = subprocess.run(
        [sys.executable, "-c", BUILD_AND_LINT],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    built = json.loads(run.stdout)
    assert Path(built["source"]).is_relative_to(root)
    assert built["findings"] == []
    titles = [panel["title"] for panel in built["board"]["panels"]]
    assert titles[titles.index("Writes deferred") + 1] == "Deferred writes"
