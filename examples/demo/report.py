"""The output of the demo: one line for each proof, and the progress of the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .proofs import Proof

Advance = Callable[[float, str], None]
"""Takes the part of the total that is done, and a note to show."""

_PLAIN_SECONDS = 5.0
_FAILURES_SHOWN = 20
_BAR = 20


class Report:
    """Prints each proof when it is added, and keeps them all."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.proofs: list[Proof] = []
        self.step = "begin"
        """What the run is doing, for the message when it ends early."""

    @property
    def all_hold(self) -> bool:
        """Whether there are proofs and all of them hold."""
        return bool(self.proofs) and all(proof.holds for proof in self.proofs)

    def print_line(self, text: str) -> None:
        """Print a plain line."""
        self.console.print(text, markup=False)

    def conclude(self) -> None:
        """Print the last line: how many proofs hold."""
        failed = sum(not proof.holds for proof in self.proofs)
        self.print_line(
            f"{len(self.proofs) - failed} of {len(self.proofs)} proofs hold" + (", FAILED" if failed else "")
        )

    def add(self, proof: Proof) -> Proof:
        """Print one proof and its failures, one line each; return the proof."""
        self.proofs.append(proof)
        mark, style = ("ok  ", "green") if proof.holds else ("FAIL", "bold red")
        self.console.print(f"[{style}]{mark}[/] ", end="")
        self.console.print(f"{proof.claim}: {proof.found}", markup=False)
        for failure in proof.failures[:_FAILURES_SHOWN]:
            self.console.print(f"       {failure}", markup=False)
        if (more := len(proof.failures) - _FAILURES_SHOWN) > 0:
            self.console.print(f"       and {more} more")
        return proof

    @contextmanager
    def progress(self, what: str, total: float) -> Iterator[Advance]:
        """Show progress: a bar on a terminal, elsewhere a plain line every few seconds."""
        if not self.console.is_terminal:
            yield self._plain(what, total)
            return
        text = TextColumn("     {task.description}"), TextColumn("{task.fields[note]}")
        with Progress(text[0], BarColumn(_BAR), text[1], TimeElapsedColumn(), console=self.console) as bar:
            task = bar.add_task(what, total=total, note="")
            yield lambda done, note: bar.update(task, completed=done, note=note)

    def _plain(self, what: str, total: float) -> Advance:
        printed = 0.0

        def advance(done: float, note: str) -> None:
            nonlocal printed
            now = time.monotonic()
            if done >= total or now - printed >= _PLAIN_SECONDS:
                printed = now
                self.print_line(f"     {what}: {min(done / total, 1):.0%}, {note}")

        return advance
