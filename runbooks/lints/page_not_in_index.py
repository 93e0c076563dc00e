"""The index exists and links to every page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from .. import loader
from ..page import parse
from ._subject import Subject

NAME = "page-not-in-index"


def _run(subject: Subject) -> Iterator[Finding]:
    index = subject.pages.get(loader.INDEX)
    if index is None:
        yield Finding(subject.file(loader.INDEX), NAME, "there is no index; `mnemoscope generate` writes one")
        return
    linked = {urlsplit(link.target).path for link in index.links}
    for name in subject.pages:
        in_table = f"]({name}.md)" in (index.facts or "")
        if name != loader.INDEX and f"{name}.md" not in linked and not in_table:
            yield Finding(subject.file(loader.INDEX), NAME, f"the index does not link to {name}.md")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with an empty index."""
    return replace(subject, pages={**subject.pages, loader.INDEX: parse(loader.INDEX, "# Runbooks\n")})


CHECK = Check(
    name=NAME,
    reason="An engineer who starts from a symptom finds the page through the index.",
    run=_run,
    failing=_failing,
)
