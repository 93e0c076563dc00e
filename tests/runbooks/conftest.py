"""A small folder of sound pages. Each test adds one fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from runbook_samples import ALERT, INDEX, PAGE, Folder, pack_of

from mnemoscope.model.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder without faults: one alert, its page, the index and the troubleshooting page."""
    settings = Settings()
    found = Folder(tmp_path / "pages", pack_of(settings, ALERT), settings)
    found.path.mkdir()
    found.write(ALERT, PAGE)
    found.write("README", INDEX)
    found.write("Troubleshooting", "# Troubleshooting\n\nBack to [the index](README.md).\n")
    return found
