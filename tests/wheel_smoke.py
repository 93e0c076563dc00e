"""Run by an interpreter that has the wheel and no checkout: decorate, scrape, generate.

Takes no argument, writes into the current folder, and fails with a traceback if any step does.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import mnemoscope as scope
from mnemoscope import catalog


@scope.index_write(index="spatiotemporal")
def insert(episode: str) -> int:
    return len(episode)


def main() -> None:
    origin = Path(scope.__file__)
    assert origin.is_relative_to(sys.prefix), f"not the installed package: {origin}"

    assert insert("an episode") == 10
    server = scope.serve(port=0)
    try:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as answer:
            text = answer.read().decode()
    finally:
        server.close()
    series = f'{catalog.INDEX_WRITE_DURATION.prometheus_name()}_count{{index="spatiotemporal",outcome="ok"}}'
    values = [line.split()[-1] for line in text.splitlines() if line.startswith(series)]
    assert [float(value) for value in values] == [1], f"{series} is not in the scrape:\n{text}"

    command = Path(sys.prefix, "bin", "mnemoscope")
    subprocess.run([command, "generate"], check=True, stdin=subprocess.DEVNULL)
    written = sorted(str(path) for path in Path("generated").rglob("*") if path.is_file())
    assert any(name.endswith(".json") for name in written), written
    assert any("rules" in name for name in written), written
    print(f"decorated, scraped and generated {len(written)} files with {origin.parent}")


if __name__ == "__main__":
    main()
