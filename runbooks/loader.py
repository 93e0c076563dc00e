"""Where pages come from and go to: the packaged ones, a site's own copies, and what `generate` writes there.

A site's copy belongs to the site: after it was seeded, only its block of facts is ever written again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from mnemoscope.alerts.model import Pack
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import DEFAULT_PREFIX
from mnemoscope.model.settings import Settings

from . import facts
from .page import Page, facts_span, parse

INDEX = "README"
GENERAL_PAGES = (INDEX, "Troubleshooting")
"""Pages that belong to no alert: the index by symptom, and the trouble that monitoring itself can have."""

_DEFAULTS = Settings()
# Records of objectives have windows of their own; all others carry the window of rates at the end of their names.
_WINDOW_RECORD = re.compile(
    rf"(?<![\w:])(\w+:(?!{DEFAULT_PREFIX}_slo_)\w+:(?:p\d+_)?rate){_DEFAULTS.rate_window}(?!\w)"
)
_PREFIXED = re.compile(rf"(?<![A-Za-z0-9_]){DEFAULT_PREFIX}_(?=[a-z])")


def pages() -> dict[str, Traversable]:
    """The packaged pages by name, the general ones included; written for the default settings."""
    found = (entry for entry in files(__package__).iterdir() if entry.name.endswith(".md"))
    return {entry.name.removesuffix(".md"): entry for entry in sorted(found, key=lambda entry: entry.name)}


def read(path: Path | Traversable) -> str:
    """The text of a page, its line ends as they are.

    Raises:
        MnemoscopeError: it cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MnemoscopeError(f"{path}: cannot be read as a runbook page: {error}; save it as UTF-8") from None


def load(folder: Path) -> dict[str, Page]:
    """Every page in `folder` by name; empty where there is no such folder.

    Raises:
        MnemoscopeError: a page cannot be read.
    """
    return {path.stem: parse(path.stem, read(path)) for path in sorted(folder.glob("*.md"))}


def sync(pages_dir: Path, pack: Pack, settings: Settings) -> dict[Path, str]:
    """The files of `pages_dir` that must be written, and their new texts; empty when all is in step.

    A missing page is seeded from the packaged one, in this site's names. In a page that is there, the block
    of facts is renewed and everything else is left byte for byte, its line ends included, so write the
    texts without translating line ends. A page whose marks are lost is left alone; the lint speaks of it.

    Raises:
        MnemoscopeError: a page cannot be read.
    """
    wanted: dict[Path, str] = {}
    for name in _names(pages_dir, pack, settings):
        path = pages_dir / f"{name}.md"
        old = read(path) if path.exists() else None
        new = localize(read(pages()[name]), settings) if old is None else old
        if name == INDEX:
            new = with_facts(new, facts.render_index(pack, settings))
        elif name not in GENERAL_PAGES:
            new = with_facts(new, facts.render(name, pack, settings))
        if new != old:
            wanted[path] = new
    return wanted


def with_facts(text: str, block: str) -> str:
    """`text` with its block of facts replaced by `block`, in the line ends of the page; as it is without marks."""
    span = facts_span(text)
    if span is None:
        return text
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    return text[: span[0]] + block.replace("\n", end_of_line) + text[span[1] :]


def localize(text: str, settings: Settings) -> str:
    """A packaged page in the names of a site: its prefix, its scrape job and the window of its rates."""
    text = _WINDOW_RECORD.sub(rf"\g<1>{settings.rate_window}", text)
    text = _PREFIXED.sub(f"{settings.prefix}_", text)
    text = text.replace(f"[{_DEFAULTS.rate_window}]", f"[{settings.rate_window}]")
    return text.replace(f'job="{_DEFAULTS.job}"', f'job="{settings.job}"')


def _names(pages_dir: Path, pack: Pack, settings: Settings) -> Iterator[str]:
    packaged = pages()
    yield from GENERAL_PAGES
    for name in pack.alert_names():
        # An alert of a site's own has no packaged page to start from; the lint asks for one.
        if name in packaged or (pages_dir / f"{name}.md").exists():
            yield name
    # Pages of disabled alerts stay, so that links between pages hold.
    yield from (name for name in packaged if name not in pack.alert_names() and facts.is_disabled(name, settings))
