"""The packaged pages, the copies of a site, and the changes that `mnemoscope generate` makes to these copies.

A site owns its copies. After a copy was created, `generate` replaces only its block of facts.
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
"""Pages that belong to no alert: the index by symptom, and the page about problems of the monitoring itself."""

_DEFAULTS = Settings()
# The names of records end with the window of rates, except those of objectives, which have their own windows.
_WINDOW_RECORD = re.compile(
    rf"(?<![\w:])(\w+:(?!{DEFAULT_PREFIX}_slo_)\w+:(?:p\d+_)?rate){_DEFAULTS.rate_window}(?!\w)"
)
_PREFIXED = re.compile(rf"(?<![A-Za-z0-9_]){DEFAULT_PREFIX}_(?=[a-z])")


def pages() -> dict[str, Traversable]:
    """Return the packaged pages by name, including the general ones. They are written for the default settings."""
    found = (entry for entry in files(__package__).iterdir() if entry.name.endswith(".md"))
    return {entry.name.removesuffix(".md"): entry for entry in sorted(found, key=lambda entry: entry.name)}


def read(path: Path | Traversable) -> str:
    """Return the text of a page with its own line ends.

    Raises:
        MnemoscopeError: the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MnemoscopeError(f"{path}: cannot be read as a runbook page: {error}; save it as UTF-8") from None


def load(folder: Path) -> dict[str, Page]:
    """Return every page in `folder` by name. If there is no such folder, the result is empty.

    Raises:
        MnemoscopeError: a page cannot be read.
    """
    return {path.stem: parse(path.stem, read(path)) for path in sorted(folder.glob("*.md"))}


def sync(pages_dir: Path, pack: Pack, settings: Settings) -> dict[Path, str]:
    """Return the files of `pages_dir` that must be written, with their new texts. The caller writes them.

    A missing page is created from the packaged page, with the names of this site. In an existing page, only the block
    of facts changes; all other bytes stay, including line ends. So write the texts without translating line ends. A
    page without its marks is not changed; the check `facts` reports it.

    Raises:
        MnemoscopeError: a page cannot be read.
    """
    changed: dict[Path, str] = {}
    for name in _names(pages_dir, pack, settings):
        path = pages_dir / f"{name}.md"
        old = read(path) if path.exists() else None
        new = localize(read(pages()[name]), settings) if old is None else old
        if name == INDEX:
            new = with_facts(new, facts.render_index(pack, settings))
        elif name not in GENERAL_PAGES:
            new = with_facts(new, facts.render(name, pack, settings))
        if new != old:
            changed[path] = new
    return changed


def with_facts(text: str, block: str) -> str:
    """Return `text` with `block` as its block of facts, in the line ends of the page. Without marks, return `text`."""
    span = facts_span(text)
    if span is None:
        return text
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    return text[: span[0]] + block.replace("\n", end_of_line) + text[span[1] :]


def localize(text: str, settings: Settings) -> str:
    """Return a packaged page with the names of a site: its prefix, its scrape job and the window of its rates."""
    text = _WINDOW_RECORD.sub(rf"\g<1>{settings.rate_window}", text)
    text = _PREFIXED.sub(f"{settings.prefix}_", text)
    text = text.replace(f"[{_DEFAULTS.rate_window}]", f"[{settings.rate_window}]")
    return text.replace(f'job="{_DEFAULTS.job}"', f'job="{settings.job}"')


def _names(pages_dir: Path, pack: Pack, settings: Settings) -> Iterator[str]:
    packaged = pages()
    yield from GENERAL_PAGES
    for name in pack.alert_names():
        # An alert that a site adds has no packaged page; the check `alert-without-page` reports it.
        if name in packaged or (pages_dir / f"{name}.md").exists():
            yield name
    # Pages of disabled alerts stay, so that links between pages still work.
    yield from (name for name in packaged if name not in pack.alert_names() and facts.is_disabled(name, settings))
