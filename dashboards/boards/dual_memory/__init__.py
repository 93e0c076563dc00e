"""Episodic and semantic memory at a glance: the board that an on-call engineer opens first.

The first section shows whether the service is broken. The sections below it show which part is, in the order in which
a recall or a completion uses them. Each section has a module.
"""

from __future__ import annotations

from mnemoscope.model.settings import Settings

from ...board import Board, assemble
from ...expressions import Expressions
from . import at_a_glance, blending, caches, completions, index, limits, locks, recall, service, storage

UID = "dual-memory"


def build(settings: Settings) -> Board:
    """Return the board for one site."""
    expressions = Expressions(settings)
    return assemble(
        settings,
        UID,
        "Recall, blending, locks, index, caches, storage and completions of an agent-memory service.",
        [
            at_a_glance.section(expressions),
            recall.section(expressions),
            blending.section(expressions),
            locks.section(expressions),
            index.section(expressions),
            caches.section(expressions),
            storage.operations(expressions),
            storage.store(expressions),
            completions.section(expressions),
            limits.section(expressions),
            service.section(expressions),
        ],
    )
