"""The pages for people: every relative link leads to a file or folder, and to a heading of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnemoscope.runbooks import parse

CHECKOUT = Path(__file__).parent.parent
PAGES = (
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "examples/episodic_memory/README.md")),
    *(CHECKOUT / "docs").glob("*.md"),
)


def anchors(path: Path) -> list[str]:
    return [heading.anchor for heading in parse(path.stem, path.read_text(encoding="utf-8")).headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in parse(page.stem, page.read_text(encoding="utf-8")).links:
        if "://" in link.target:
            continue
        path, _, heading = link.target.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            broken.append(f"line {link.line}: {link.target}")
    assert broken == []
