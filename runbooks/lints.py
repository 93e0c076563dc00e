"""Checks of the pages: what would send the person on call nowhere is found before the alert is.

Each check is a function from one page to findings of (line, message); the tables at the end name them. Those
of the folder as a whole come first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mnemoscope.alerts.model import Pack
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import CATALOG
from mnemoscope.linting import queries as knowledge
from mnemoscope.linting.finding import Finding
from mnemoscope.model import links
from mnemoscope.model.settings import Settings

from . import facts, loader
from .page import SECTIONS, Fence, Page, Step

Found = tuple[int, str]
"""A line, counted from 1, and what is wrong there."""

_PLACEHOLDERS = re.compile(
    r"\b(?:TODO|TBD|FIXME|XXX|lorem ipsum|coming soon|to be written|fill (?:me|this) in)\b", re.IGNORECASE
)
_GAP = re.compile(r"<[a-z][a-z _-]*>", re.IGNORECASE)
_REFERENCE = re.compile(r"\b(step|mitigation) (\d+)", re.IGNORECASE)
_REFERS_TO = {"step": "Diagnosis", "mitigation": "Mitigation"}
_MARKDOWN_LINK = re.compile(r"\]\([^)]+\)")
_BOARD_PATH = re.compile(r"/d/([^/?#]+)")
QUERY, COMMAND = "promql", "bash"
"""The languages of fences that a reader pastes."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a page is held against: the rules and settings of a site, and every page in its folder."""

    folder: Path
    pages: dict[str, Page]
    pack: Pack
    settings: Settings

    @property
    def alerts(self) -> tuple[str, ...]:
        """Alerts that need a page: those of the pack, and none that the settings disable."""
        return self.pack.alert_names()

    def has_alert(self, name: str) -> bool:
        """Whether the alert `name` exists here, if perhaps disabled."""
        return name in self.alerts or (name in loader.pages() and facts.is_disabled(name, self.settings))

    @property
    def records(self) -> frozenset[str]:
        """The names of all recording rules."""
        return frozenset(record.name for record in self.pack.records())


def lint(pages_dir: Path, pack: Pack, settings: Settings) -> list[Finding]:
    """Everything wrong with the pages of `pages_dir`, by file; empty when there is nothing.

    Raises:
        MnemoscopeError: a page cannot be read.
    """
    site = Site(pages_dir, loader.load(pages_dir), pack, settings)
    found = [problem for name, check in FOLDER_CHECKS for problem in _of_folder(name, check, site)]
    for page in site.pages.values():
        checks = PAGE_CHECKS if page.name in loader.GENERAL_PAGES else (*ALERT_PAGE_CHECKS, *PAGE_CHECKS)
        for name, check in checks:
            where = pages_dir / f"{page.name}.md"
            found += [Finding(f"{where}:{line}", name, message) for line, message in check(page, site)]
    return found


def _of_folder(check: str, function: Callable[[Site], Iterator[tuple[str, str]]], site: Site) -> Iterator[Finding]:
    for name, message in function(site):
        yield Finding(str(site.folder / f"{name}.md"), check, message)


# The folder ---------------------------------------------------------------------------------------


def alert_without_page(site: Site) -> Iterator[tuple[str, str]]:
    """Every alert has a page."""
    for name in site.alerts:
        if name not in site.pages:
            yield name, f"the alert {name} has no page; `mnemoscope generate` writes one to start from"


def page_without_alert(site: Site) -> Iterator[tuple[str, str]]:
    """Every page, but the general ones, belongs to an alert."""
    for name in site.pages:
        if name not in loader.GENERAL_PAGES and not site.has_alert(name):
            yield name, f"no alert is called {name}; remove the page or rename it to the alert's name"


def page_not_in_index(site: Site) -> Iterator[tuple[str, str]]:
    """The index leads to every page, and is there."""
    index = site.pages.get(loader.INDEX)
    if index is None:
        yield loader.INDEX, "there is no index; `mnemoscope generate` writes one"
        return
    linked = {urlsplit(link.target).path for link in index.links}
    for name in site.pages:
        in_table = f"]({name}.md)" in (index.facts or "")
        if name != loader.INDEX and f"{name}.md" not in linked and not in_table:
            yield loader.INDEX, f"the index does not link to {name}.md"


# A page of an alert -------------------------------------------------------------------------------


def headings(page: Page, _site: Site) -> Iterator[Found]:
    """The title is the alert's name; the five sections are there once, in order, and not empty."""
    titles = [heading for heading in page.headings if heading.level == 1]
    if [title.text for title in titles] != [page.name]:
        yield 1, f"the page has one title, `# {page.name}`"
    sections = [heading for heading in page.headings if heading.level == 2]
    names = [section.text for section in sections]
    missing = [name for name in SECTIONS if name not in names]
    if missing:
        yield 1, f"no heading {', '.join(f'`## {name}`' for name in missing)}"
    elif names != list(SECTIONS):
        yield sections[0].line, f"the headings are {', '.join(SECTIONS)}, once each and in this order"
    for section in sections:
        if not page.body(section):
            yield section.line, f"the section {section.text} is empty"


def facts_in_step(page: Page, site: Site) -> Iterator[Found]:
    """The block of facts is there, above the prose, and says what the rules say."""
    if page.facts is None:
        yield 1, "the marks of the block of facts are missing, doubled or out of order"
        return
    line = page.text.count("\n", 0, page.text.index(page.facts)) + 1
    first = next((heading.line for heading in page.headings if heading.level == 2), line)
    if line > first:
        yield line, "the block of facts stands between the title and the first section"
    if site.has_alert(page.name):
        block = facts.render(page.name, site.pack, site.settings)
        if page.facts.replace("\r\n", "\n") != block:
            yield line, "the block of facts is stale; run `mnemoscope generate`"


def diagnosis(page: Page, _site: Site) -> Iterator[Found]:
    """Each step of the diagnosis has something to paste, and says what to do with each answer."""
    steps = page.steps.get("Diagnosis", ())
    if not steps:
        yield 1, "the diagnosis has no numbered steps"
    for step in steps:
        if not any(fence.language in (QUERY, COMMAND) and fence.text.strip() for fence in step.fences):
            yield step.line, f"step {step.number} has no query or command to paste ({QUERY}, {COMMAND})"
        if not step.answers:
            yield step.line, f"step {step.number} does not say what to do: add a line that begins with `If`"
        yield from _answers(step)


def _answers(step: Step) -> Iterator[Found]:
    for answer in step.answers:
        if ":" not in answer:
            yield step.line, f"step {step.number}: write the answer as `If …: …`, not {_short(answer)!r}"
        elif not _REFERENCE.search(answer) and not _MARKDOWN_LINK.search(answer):
            yield (
                step.line,
                (f"step {step.number}: {_short(answer)!r} leads nowhere; name a step, a mitigation or another page"),
            )


def references(page: Page, _site: Site) -> Iterator[Found]:
    """Steps and mitigations count from 1 as written, and each that an answer sends the reader to exists."""
    for section in _REFERS_TO.values():
        steps = page.steps.get(section, ())
        for expected, step in enumerate(steps, start=1):
            if step.number != expected:
                yield step.line, f"{section}: the item is number {step.number} and should be {expected}"
                break
    for step in page.steps.get("Diagnosis", ()):
        for answer in step.answers:
            for kind, number in _REFERENCE.findall(answer):
                section = _REFERS_TO[kind.lower()]
                if int(number) not in [target.number for target in page.steps.get(section, ())]:
                    yield step.line, f"step {step.number} sends to {kind} {number}, which {section} does not have"


# Any page -----------------------------------------------------------------------------------------


def queries(page: Page, site: Site) -> Iterator[Found]:
    """Each query parses and asks for metrics, labels and values that exist."""
    for fence in page.fences:
        if fence.language != QUERY:
            continue
        if not fence.text.strip():
            yield fence.line, "the query is empty"
            continue
        try:
            wrong = knowledge.check_selectors(fence.text, site.settings, site.records)
            wrong += knowledge.check_values(fence.text, site.settings)
        except MnemoscopeError as error:
            wrong = [str(error)]
        for message in wrong:
            yield fence.line, message


def mentions(page: Page, site: Site) -> Iterator[Found]:
    """A metric that the prose or a command names exists."""
    prefix = site.settings.prefix
    known = set(knowledge.known_series(site.settings, site.records))
    known |= {metric.prometheus_name(prefix) for metric in CATALOG}
    word = re.compile(rf"(?<![A-Za-z0-9_:])(?:[a-z_]+:)?{re.escape(prefix)}_[a-z][A-Za-z0-9_:]*")
    text = page.text if page.facts is None else page.text.replace(page.facts, "\n" * page.facts.count("\n"))
    queried = {line for fence in page.fences if fence.language == QUERY for line in _lines_of(fence)}
    for number, line in enumerate(text.splitlines(), start=1):
        if number not in queried:
            for name in word.findall(line):
                if name not in known:
                    yield number, f"{name} is no metric or record of this pack"


def _lines_of(fence: Fence) -> range:
    return range(fence.line, fence.line + fence.text.count("\n") + 2)


def relative_links(page: Page, site: Site) -> Iterator[Found]:
    """A link to a page of the folder, or to a heading of one, leads there."""
    for link in page.links:
        parts = urlsplit(link.target)
        if parts.scheme or parts.netloc:
            continue
        path = unquote(parts.path)
        target = page if not path else site.pages.get(path.removesuffix(".md")) if path.endswith(".md") else None
        if target is None:
            if not (site.folder / path).exists():
                yield link.line, f"the link {link.target} leads nowhere"
        elif parts.fragment and parts.fragment not in [heading.anchor for heading in target.headings]:
            yield link.line, f"the link {link.target} leads nowhere: {target.name}.md has no such heading"


def board_links(page: Page, _site: Site) -> Iterator[Found]:
    """A link to a board names one of the pack's."""
    for link in page.links:
        found = _BOARD_PATH.search(urlsplit(link.target).path)
        if found and found[1] not in links.BOARDS:
            yield link.line, f"the link {link.target} names no board of the pack; there are {', '.join(links.BOARDS)}"


def placeholders(page: Page, _site: Site) -> Iterator[Found]:
    """Nothing is left to be written, and no command has a gap that a tired reader pastes as it is."""
    for number, line in enumerate(page.text.splitlines(), start=1):
        found = _PLACEHOLDERS.search(line)
        if found:
            yield number, f"{found[0]!r} is a placeholder; write what belongs there"
    for fence in page.fences:
        for gap in _GAP.findall(fence.text):
            yield fence.line, f"{gap} has to be filled in before the command runs; take it from a variable"


def _short(text: str) -> str:
    first = text.splitlines()[0]
    return first if len(first) <= 60 else first[:57] + "..."


FOLDER_CHECKS: tuple[tuple[str, Callable[[Site], Iterator[tuple[str, str]]]], ...] = (
    ("alert-without-page", alert_without_page),
    ("page-without-alert", page_without_alert),
    ("page-not-in-index", page_not_in_index),
)
ALERT_PAGE_CHECKS: tuple[tuple[str, Callable[[Page, Site], Iterator[Found]]], ...] = (
    ("headings", headings),
    ("facts", facts_in_step),
    ("diagnosis", diagnosis),
    ("reference", references),
)
PAGE_CHECKS: tuple[tuple[str, Callable[[Page, Site], Iterator[Found]]], ...] = (
    ("query", queries),
    ("mention", mentions),
    ("link", relative_links),
    ("board", board_links),
    ("placeholder", placeholders),
)
