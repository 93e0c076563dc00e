"""A relative link leads to a file or page that exists, and to a heading of that page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..page import Link, Page
from ._subject import Subject

NAME = "link"


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.pages.values():
        for link in page.links:
            for message in _of_link(link, page, subject):
                yield Finding(subject.place(page, link.line), NAME, message)


def _of_link(link: Link, page: Page, subject: Subject) -> Iterator[str]:
    parts = urlsplit(link.target)
    if parts.scheme or parts.netloc:
        return
    path = unquote(parts.path)
    target = _target(path, page, subject)
    if target is None:
        if not (subject.folder / path).exists():
            yield f"the link {link.target} leads nowhere"
    elif parts.fragment and parts.fragment not in [heading.anchor for heading in target.headings]:
        yield f"the link {link.target} leads nowhere: {target.name}.md has no such heading"


def _target(path: str, page: Page, subject: Subject) -> Page | None:
    if not path:
        return page
    return subject.pages.get(path.removesuffix(".md")) if path.endswith(".md") else None


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a link to a page that does not exist."""
    return subject.with_line("See [the other page](no-such-page.md).")


CHECK = Check(
    name=NAME,
    reason="A broken link ends the diagnosis.",
    run=_run,
    failing=_failing,
)
