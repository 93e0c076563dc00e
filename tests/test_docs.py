"""The pages for people: links lead to files and headings, examples compile, and settings are valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mnemoscope.model.settings import from_mapping
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


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_python_example_compiles(page: Path) -> None:
    for fence in parse(page.stem, page.read_text(encoding="utf-8")).fences:
        if fence.language == "python":
            compile(fence.text, f"{page.name}, line {fence.line}", "exec", dont_inherit=True)


def test_the_settings_in_the_guide_are_valid() -> None:
    guide = parse("operating", (CHECKOUT / "docs" / "operating.md").read_text(encoding="utf-8"))
    (example,) = (fence.text for fence in guide.fences if fence.language == "yaml")

    assert from_mapping(yaml.safe_load(example)).silences
