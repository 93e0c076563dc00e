"""Recipe: add a metric with one declaration in one file.

1. Open the module of its area in `instrumentation/catalog/`.
2. Copy a declaration such as `CACHE_STALE_READS = counter(...)`, and change the name, the help and the labels.
3. Run `mnemoscope generate`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.checkout import copied_package

MODULE = "index_cache.py"
DECLARATION = """
CACHE_WARM_UPS = counter("cache.warm_ups", "Caches filled before the first lookup", labels=(CACHE,), sources=(SLM,))
"""
RECORD_AND_SCRAPE = """
import urllib.request

import mnemoscope as scope
from mnemoscope.catalog import CACHE_WARM_UPS

scope.counter(CACHE_WARM_UPS, cache="redb").inc(3)
with scope.serve(port=0) as server, urllib.request.urlopen(f"{server.url}/metrics") as answer:
    print(answer.read().decode())

from mnemoscope.generation import reference
from mnemoscope.model.settings import Settings

print(reference.render(Settings()))
"""


def test_a_metric_is_one_declaration(tmp_path: Path) -> None:
    root = copied_package(tmp_path)
    module = root / "mnemoscope" / "instrumentation" / "catalog" / MODULE
    module.write_text(module.read_text(encoding="utf-8") + DECLARATION, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-c", RECORD_AND_SCRAPE],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 'mnemo_cache_warm_ups_total{cache="redb"} 3.0' in lines
    assert "# HELP mnemo_cache_warm_ups_total Caches filled before the first lookup" in lines
    assert "### `mnemo_cache_warm_ups_total`" in lines
