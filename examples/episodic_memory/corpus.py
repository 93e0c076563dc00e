"""Real English text to remember: the language reference that is part of every Python installation.

A paragraph becomes a task: its first sentence is the description, each further one is the observation of a step.
Agents get the same tasks repeatedly, and see different sentences each time.
"""

from __future__ import annotations

import random
import re
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pydoc_data.topics import topics
from typing import Literal, Protocol

from .errors import Unavailable
from .model import Episode, Step

TOOLS = ("search", "read", "edit", "run", "ask")
_SENTENCE_END = re.compile(r"(?<=[.;:])\s+")
_SHOWN = 0.7


@dataclass(frozen=True, slots=True)
class Task:
    """A task for an agent: the topic, the question, and the sentences that answer it."""

    topic: str
    description: str
    sentences: tuple[str, ...]

    def steps(self, chance: random.Random) -> list[Step]:
        """Return steps that observe most of the sentences, in order."""
        shown = [sentence for sentence in self.sentences if chance.random() < _SHOWN] or list(self.sentences[:1])
        return [_step(sentence) for sentence in shown]


@cache
def tasks() -> Sequence[Task]:
    """Return a task for every paragraph of prose with at least three sentences."""
    return tuple(
        Task(topic, sentences[0], tuple(sentences[1:]))
        for topic, text in sorted(topics.items())
        for paragraph in re.split(r"\n\s*\n", text)
        if (sentences := _SENTENCE_END.split(" ".join(paragraph.split())))
        and len(sentences) >= 3
        and paragraph.strip()[0].isalpha()
    )


class Memory(Protocol):
    """The part of the service that seeding needs."""

    def create(self, agent: str, description: str, tags: list[str]) -> Episode: ...
    def append(self, id: int, steps: list[Step]) -> object: ...
    def complete(self, id: int, outcome: Literal["success"], artifacts: dict[str, str]) -> object: ...


def seed(memory: Memory, count: int) -> Iterator[float]:
    """Create and complete `count` episodes in `memory`; yield the share done."""
    chance = random.Random(0)
    known = tasks()[: max(1, count // 3)]
    for done in range(count):
        task = chance.choice(known)
        try:
            episode = memory.create("seed", task.description, [task.topic])
            memory.append(episode.id, task.steps(chance))
            memory.complete(episode.id, "success", {})
        except (sqlite3.Error, Unavailable):
            # The store starts with one episode fewer; the metrics have counted the error.
            continue
        finally:
            yield (done + 1) / count


def _step(sentence: str) -> Step:
    tool = TOOLS[zlib.crc32(sentence.encode()) % len(TOOLS)]
    return Step(tool, " ".join(sentence.split()[:6]), sentence)
