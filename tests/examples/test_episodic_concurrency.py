"""The capacity check of the reviews on the reference service: 100 concurrent operations, no deadlock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemoscope.examples.episodic_memory.config import Config
from mnemoscope.examples.episodic_memory.gate import CompletionGate
from mnemoscope.examples.episodic_memory.model import Step
from mnemoscope.examples.episodic_memory.service import EpisodicMemory
from mnemoscope.instrumentation.testing.concurrently import Concurrently

STEP = Step("search", "look", "a generator function yields values")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[EpisodicMemory]:
    """Run the service in this process, with a few episodes to recall."""
    made = EpisodicMemory(Config(data=tmp_path, seed_episodes=20))
    made.load(lambda _: None)
    yield made
    made.close()


def learn(memory: EpisodicMemory, number: int) -> int:
    """Create, extend, complete and recall one episode, as an agent does; return its id."""
    episode = memory.create(f"user-{number}", f"learn about generators, part {number}", ["python"])
    memory.append(episode.id, [STEP])
    memory.complete(episode.id, "success", {})
    memory.recall("generators", "blended", 3)
    return episode.id


def test_a_hundred_episodes_are_learnt_concurrently(memory: EpisodicMemory, concurrently: Concurrently) -> None:
    ids = concurrently.threads(lambda number: learn(memory, number), 100, within=60)
    assert len(set(ids)) == 100
    assert memory.stats()["episodes"] == 120


def test_concurrent_jobs_and_agents_end(memory: EpisodicMemory, concurrently: Concurrently) -> None:
    jobs = (memory.consolidate, memory.reconcile, memory.backup, memory.expire, memory.measure, memory.stats)

    def operation(number: int) -> None:
        if number < len(jobs):
            jobs[number]()
        else:
            learn(memory, number)

    concurrently.threads(operation, 100, within=60)
    assert memory.stats()["episodes"] == 20 + 100 - len(jobs)


async def test_a_hundred_completions_pass_the_gate(memory: EpisodicMemory, concurrently: Concurrently) -> None:
    gate = CompletionGate(limit=20, queue=100)
    opened = [memory.create("ada", f"episode {number}", []).id for number in range(100)]

    async def complete(number: int) -> str:
        return (await gate.run(memory.complete, opened[number], "success", {})).state

    assert await concurrently.tasks(complete, 100, within=60) == ["completed"] * 100
