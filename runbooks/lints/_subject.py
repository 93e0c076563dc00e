"""What the checks of pages read: the pages of a folder, with the rules and settings of a site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mnemoscope.alerts.model import Pack
from mnemoscope.model.settings import Settings

from .. import facts, loader
from ..page import Page, parse

PROMQL, BASH = "promql", "bash"
"""The languages of fenced blocks that a reader pastes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The pages of a folder by name, and the rules and settings of the site."""

    folder: Path
    pages: dict[str, Page]
    pack: Pack
    settings: Settings

    @property
    def alerts(self) -> tuple[str, ...]:
        """The alerts that need a page: those of the pack, without those that the settings disable."""
        return self.pack.alert_names()

    @property
    def alert_pages(self) -> list[Page]:
        """The pages that belong to an alert."""
        return [page for page in self.pages.values() if page.name not in loader.GENERAL_PAGES]

    @property
    def records(self) -> frozenset[str]:
        """The names of all recording rules."""
        return frozenset(record.name for record in self.pack.records())

    def has_alert(self, name: str) -> bool:
        """Return whether the pack has the alert `name`, or would have it if the settings did not disable it."""
        return name in self.alerts or (name in loader.pages() and facts.is_disabled(name, self.settings))

    def file(self, name: str) -> str:
        """Return the path of the page `name`."""
        return str(self.folder / f"{name}.md")

    def place(self, page: Page, line: int) -> str:
        """Return a line of a page, counted from 1, as findings show it."""
        return f"{self.file(page.name)}:{line}"

    def with_changed_page(self, change: Callable[[str], str]) -> Subject:
        """Return a copy in which `change` was applied to the text of the first page of an alert."""
        page = self.alert_pages[0]
        return replace(self, pages={**self.pages, page.name: parse(page.name, change(page.text))})

    def with_line(self, line: str) -> Subject:
        """Return a copy in which the first page of an alert ends with `line`."""
        return self.with_changed_page(lambda text: f"{text}\n{line}\n")
