"""The recipe for a new scrape format, performed on a copy of the package: one new module and one line in a list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.checkout import copied_package

MODULE = '''
"""The snapshot as CSV: name, labels and value of each counter and gauge."""

from __future__ import annotations

from collections.abc import Iterator

from ...recording.snapshot import NumberPoint, Snapshot
from .chunks import encoded_chunks
from .format import Format


def render_csv(snapshot: Snapshot) -> Iterator[bytes]:
    """Return the snapshot as CSV, in chunks."""
    return encoded_chunks(_lines(snapshot))


def _lines(snapshot: Snapshot) -> Iterator[str]:
    for family in snapshot.families:
        for point in family.points:
            if isinstance(point, NumberPoint):
                yield f"{family.metric.name},{'/'.join(point.labels)},{point.value}\\n"


FORMAT = Format("csv", "text/csv; charset=utf-8", render_csv)
'''
LINE = '    "csv_lines",\n'
SCRAPE = """
import json
import urllib.request

import mnemoscope as scope
from mnemoscope import catalog

scope.counter(catalog.CACHE_STALE_READS, cache="redb").inc(3)
with scope.serve(port=0) as server:
    answers = []
    for accept in ("text/csv", "text/plain"):
        request = urllib.request.Request(f"{server.url}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request) as answer:
            answers.append((answer.headers["Content-Type"], answer.read().decode()))
print(json.dumps(answers))
"""


def test_a_format_is_one_module_and_one_line(tmp_path: Path) -> None:
    root = copied_package(tmp_path)
    formats = root / "mnemoscope" / "instrumentation" / "exporters" / "formats"
    (formats / "csv_lines.py").write_text(MODULE, encoding="utf-8")
    listing = formats / "__init__.py"
    before, marker, after = listing.read_text(encoding="utf-8").partition('    "json_document",\n')
    listing.write_text(before + marker + LINE + after, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-c", SCRAPE],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    (csv_type, csv), (text_type, text) = json.loads(done.stdout)
    assert csv_type == "text/csv; charset=utf-8"
    assert "cache.stale_reads,redb,3.0\n" in csv
    assert text_type == "text/plain; version=0.0.4; charset=utf-8"
    assert 'scrape_duration_seconds_count{format="csv"} 1.0' in text, "the scrape is measured under the format's name"
    assert "dropped_total{" not in text, "no recording was refused"
