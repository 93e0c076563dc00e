"""The values that the modules exchange: episodes, steps, concepts, memories."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, Self

from .embedding import Vector

State = Literal["open", "completed"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an agent: the tool, the action and the observation."""

    tool: str
    action: str
    observation: str

    @property
    def size(self) -> int:
        """Bytes of text."""
        return sum(len(text.encode()) for text in (self.tool, self.action, self.observation))


@dataclass(frozen=True, slots=True)
class Episode:
    """One task of one user. `version` grows with every change; `steps` and `size` (bytes) are totals."""

    id: int
    user: str
    description: str
    tags: tuple[str, ...]
    state: State
    outcome: str
    created: float
    version: int
    steps: int
    size: int

    def to_json(self) -> bytes:
        """Return the episode as the cache stores it."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Return the episode that `to_json` wrote."""
        fields = json.loads(data)
        return cls(**{**fields, "tags": tuple(fields["tags"])})


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept: what several episodes have in common.

    `quality` is its cohesion, 0 to 1; `members` are episode ids with their strength of association, 0 to 1.
    """

    id: int
    centroid: Vector
    quality: float
    members: dict[int, float]


@dataclass(frozen=True, slots=True)
class Memory:
    """One recalled episode and how well it matches, 0 to 1."""

    episode: Episode
    score: float
