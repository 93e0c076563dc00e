"""What the checks of boards read: the boards, with the rules and settings that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mnemoscope import promql
from mnemoscope.alerts.model import Pack
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings

from ..board import Board, raw_panels
from ..expressions import Expressions

_WITHOUT_QUERIES = frozenset({"text"})

RawPanel = Mapping[str, Any]
"""A panel as Grafana stores it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The boards of a site, its rules and its settings."""

    boards: tuple[Board, ...]
    pack: Pack
    settings: Settings

    @property
    def records(self) -> frozenset[str]:
        """The names of the recording rules."""
        return frozenset(record.name for record in self.pack.records())

    @property
    def variable_labels(self) -> dict[str, str]:
        """The label behind each variable of the boards."""
        return Expressions(self.settings).variable_labels()

    def panels(self) -> Iterator[tuple[str, RawPanel]]:
        """Yield every panel but the rows, after its place."""
        for board in self.boards:
            for panel in raw_panels(board):
                yield place(board, panel), panel

    def querying_panels(self) -> Iterator[tuple[str, RawPanel]]:
        """Yield every panel that shows data, after its place."""
        return ((where, panel) for where, panel in self.panels() if panel.get("type") not in _WITHOUT_QUERIES)

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Yield every query of panels and annotations, after its place."""
        for where, panel in self.panels():
            for target in panel.get("targets", ()):
                yield f"{where} / {target.get('refId')}", target.get("expr") or ""
        for board in self.boards:
            for annotation in board.document["annotations"]["list"]:
                if "expr" in annotation:
                    yield f"{board.uid} / annotation {annotation.get('name')}", annotation["expr"]

    def parsed_expressions(self) -> Iterator[tuple[str, str]]:
        """Yield every query that parses, after its place. The check `unparsable-query` reports the others."""
        for where, expression in self.expressions():
            try:
                promql.parse(expression)
            except MnemoscopeError:
                continue
            yield where, expression

    def with_changed_board(self, change: Callable[[dict[str, Any]], None]) -> Subject:
        """Return a copy in which `change` was applied to the document of the first board."""
        first, *others = self.boards
        document = first.json()
        change(document)
        return replace(self, boards=(replace(first, document=document), *others))

    def with_changed_panel(self, change: Callable[[dict[str, Any]], None]) -> Subject:
        """Return a copy in which `change` was applied to the first panel that has a query."""
        return self.with_changed_board(
            lambda document: change(next(panel for panel in document["panels"] if panel.get("targets")))
        )

    def with_query(self, expression: str) -> Subject:
        """Return a copy in which `expression` is the first query."""
        return self.with_changed_panel(lambda panel: panel["targets"][0].update(expr=expression))


def place(board: Board, panel: RawPanel) -> str:
    """Return the place of a panel as findings show it."""
    return f"{board.uid} / {title(panel)}"


def title(panel: RawPanel) -> str:
    """Return the title of a panel, or its id if it has no title."""
    return str(panel.get("title") or f"panel {panel.get('id')}")


def panels_and_rows(board: Board) -> Iterator[RawPanel]:
    """Yield every panel and every row of a board."""
    for panel in board.document["panels"]:
        yield panel
        yield from panel.get("panels", ())


def variable_names(board: Board) -> set[str]:
    """Return the names of the variables of a board."""
    return {str(variable.get("name")) for variable in board.document["templating"]["list"]}
