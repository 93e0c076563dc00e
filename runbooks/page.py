"""A parsed runbook page: its headings, fenced blocks, links and numbered steps.

A page is text that people write around one block of facts that code writes. Parsing keeps line numbers, so that a
finding names the place. The text is not rendered or changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

FACTS_BEGIN = "<!-- facts:begin -->"
FACTS_END = "<!-- facts:end -->"
SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Rollback")
"""The headings of every alert page, in this order."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its depth (1 for the title), its text and its line, counted from 1."""

    level: int
    text: str
    line: int

    @property
    def anchor(self) -> str:
        """The fragment of a link to the heading, as GitHub and GitLab derive it."""
        return _NOT_IN_ANCHOR.sub("", self.text.lower()).replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: the word after the opening fence, the text inside, and the line of the opening fence."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Link:
    """The target of a Markdown link, and the line of the paragraph that holds it."""

    target: str
    line: int


@dataclass(frozen=True, slots=True)
class Step:
    """One item of the numbered list of a section, with everything inside it.

    `answers` are its paragraphs that begin with `If`, in order. Each states what to do for one result.
    """

    number: int
    line: int
    fences: tuple[Fence, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of Markdown.

    Attributes:
        name: file name without `.md`.
        text: the whole text.
        headings: every top-level heading, in order.
        fences: every fenced block outside the facts.
        links: every link outside the facts.
        steps: the numbered items below each second-level heading, by its text.
        facts: the text from the first mark to the second, marks included; None unless each mark occurs once, in order.
    """

    name: str
    text: str
    headings: tuple[Heading, ...]
    fences: tuple[Fence, ...]
    links: tuple[Link, ...]
    steps: dict[str, tuple[Step, ...]]
    facts: str | None

    def body(self, heading: Heading) -> str:
        """Return the text between `heading` and the next heading, without surrounding space."""
        following = [other.line for other in self.headings if other.line > heading.line]
        end = following[0] - 1 if following else None
        return "\n".join(self.text.splitlines()[heading.line : end]).strip()


def parse(name: str, text: str) -> Page:
    """Return the page `name` with the Markdown `text`. Every text can be parsed."""
    span = facts_span(text)
    facts = text[span[0] : span[1]] if span else None
    # Blank lines replace the facts, so that line numbers stay the same.
    prose = text if span is None else text[: span[0]] + "\n" * facts_lines(text, span) + text[span[1] :]
    tokens = _MARKDOWN.parse(prose)
    return Page(
        name=name,
        text=text,
        headings=tuple(_headings(tokens)),
        fences=tuple(_fences(tokens)),
        links=tuple(_links(tokens)),
        steps={heading: tuple(_steps(part)) for heading, part in _sections(tokens)},
        facts=facts,
    )


def facts_span(text: str) -> tuple[int, int] | None:
    """Return the span of the block of facts, marks included, or None unless each mark occurs once, in order."""
    if text.count(FACTS_BEGIN) != 1 or text.count(FACTS_END) != 1:
        return None
    begin, end = text.index(FACTS_BEGIN), text.index(FACTS_END)
    return (begin, end + len(FACTS_END)) if begin < end else None


def facts_lines(text: str, span: tuple[int, int]) -> int:
    """Return the number of line ends in the block of facts."""
    return text.count("\n", *span)


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0:
            yield Heading(int(token.tag[1:]), content.content, _line(token))


def _fences(tokens: list[Token]) -> Iterator[Fence]:
    for token in tokens:
        if token.type == "fence":
            yield Fence(token.info.split(" ")[0], token.content, _line(token))


def _links(tokens: list[Token]) -> Iterator[Link]:
    for token in tokens:
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield Link(str(target), _line(token))


def _sections(tokens: list[Token]) -> Iterator[tuple[str, list[Token]]]:
    starts = [i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    for start, end in pairwise([*starts, len(tokens)]):
        yield tokens[start + 1].content, tokens[start:end]


def _steps(tokens: list[Token]) -> Iterator[Step]:
    item: list[Token] = []
    for token in tokens:
        if token.type == "list_item_open" and token.level == 1 and token.info:
            item = [token]
        elif item:
            item.append(token)
            if token.type == "list_item_close" and token.level == 1:
                yield _step(item)
                item = []


def _step(item: list[Token]) -> Step:
    paragraphs = [token.content for token in item if token.type == "inline"]
    answers = tuple(text for text in paragraphs if text.startswith("If "))
    return Step(int(item[0].info), _line(item[0]), tuple(_fences(item)), answers)


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0
