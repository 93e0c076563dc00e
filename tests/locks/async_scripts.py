"""Scripts of what tasks do with a lock: begin, leave, be cancelled, be closed, or time out, at any point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

Step = tuple[Any, ...]
Script = list[Step]
LIMIT = 2
"""Ticks of the clock after which timeouts end a wait."""


def scripts(kinds: tuple[str, ...], *, stray: bool = False) -> st.SearchStrategy[Script]:
    """Return scripts with actors of these kinds. With `stray`, they also release what was not acquired."""
    begin = st.tuples(st.just("begin"), st.sampled_from(kinds))
    steps: list[st.SearchStrategy[Step]] = [begin, begin, st.just(("tick",))]
    steps += [st.tuples(st.just(verb), st.integers(0, 4)) for verb in ("leave", "cancel", "close", "resume")]
    steps += [st.just(("rounds", number)) for number in (1, 2, 5)]
    if stray:
        steps.append(st.just(("stray",)))
    return st.lists(st.one_of(steps), min_size=6, max_size=40)


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time the script sets."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Actor:
    """A task that runs `body`, or a coroutine that the script resumes by hand and may close."""

    def __init__(self, body: Callable[[Actor], Coroutine[Any, Any, None]], *, by_hand: bool) -> None:
        self.leave = asyncio.Event()
        self.cancelled = False
        self.ends = asyncio.get_running_loop().time() + LIMIT
        self._coroutine = body(self)
        self._awaited: Any = None
        self._task = None if by_hand else asyncio.create_task(self._coroutine)
        self._over = False
        self.resume()

    def resume(self) -> None:
        """Resume a coroutine that is resumed by hand and is not blocked."""
        if self._task is not None or self._over or (self._awaited is not None and not self._awaited.done()):
            return
        try:
            self._awaited = self._coroutine.send(None)
        except BaseException:
            self._over = True

    def may_be_gone(self) -> bool:
        """Return whether it was cancelled, or may have been cancelled by a timeout."""
        return self.cancelled or asyncio.get_running_loop().time() >= self.ends

    def cancel(self) -> None:
        """Cancel the task; leave a coroutine alone."""
        if self._task is not None:
            self.cancelled = True
            self._task.cancel()

    def close(self) -> None:
        """Close the coroutine; leave a task alone."""
        if self._task is None and not self._over:
            self._over = True
            with suppress(RuntimeError, ValueError):  # of a condition that waits for its lock; of a release too many
                self._coroutine.close()


class World:
    """One lock and its actors, with a log of what the actors do.

    Args:
        body: what an actor of a kind does. Kinds that begin with `hand` are coroutines that are resumed by hand.
        check: called after each step.
        stray: releases what was not acquired.
    """

    def __init__(
        self,
        body: Callable[[str, Actor], Coroutine[Any, Any, None]],
        check: Callable[[], None],
        stray: Callable[[], None] = lambda: None,
    ) -> None:
        self.actors: list[Actor] = []
        self._body, self._check, self._stray = body, check, stray

    async def play(self, script: Script) -> None:
        """Play a script in its own event loop."""
        try:
            for step in script:
                await self._do(*step)
                self._check()
        finally:
            for actor in self.actors:
                actor.leave.set()
        for _ in range(len(self.actors) + 1):
            await self._do("rounds", 5)
            for actor in self.actors:
                actor.resume()
        for actor in self.actors:  # what still waits: for a notification, or for what was lost
            actor.cancel()
            actor.close()
            await self._do("rounds", 5)
        self._check()

    async def _do(self, what: str, argument: Any = None) -> None:
        if what == "begin":
            self.actors.append(Actor(lambda actor: self._body(argument, actor), by_hand=argument.startswith("hand")))
        elif what == "rounds":
            for _ in range(argument):
                await asyncio.sleep(0)
        elif what == "tick":
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Clock)
            loop.now += 1
        elif what == "stray":
            self._stray()
        elif argument < len(self.actors):
            actor = self.actors[argument]
            actor.leave.set() if what == "leave" else getattr(actor, what)()


def play(make: Callable[[], World], script: Script) -> None:
    """Play a script in its own event loop."""

    async def main() -> None:
        await make().play(script)

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(main())
