"""The limits of the service: sizes of inputs, the rate of requests, and the users' daily quotas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mnemoscope as scope
from mnemoscope import catalog as m

from .errors import ServiceError, TooFast, TooLarge, TooMany
from .model import Episode, Step

EPISODES_PER_DAY = "episodes_per_day"
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest inputs: bytes of a description, artifact, observation and whole episode; number of steps and tags."""

    description: int = 10_000
    steps: int = 1_000
    tags: int = 100
    artifact: int = 1_000_000
    observation: int = 10_000
    episode: int = 10_000_000

    def check_new(self, description: str, tags: Iterable[str]) -> None:
        """Refuse a description or a list of tags that is too long."""
        self._check("description", len(description.encode()), TooLarge)
        self._check("tags", len(list(tags)), TooMany)

    def check_steps(self, episode: Episode, steps: Iterable[Step]) -> None:
        """Refuse steps that would take the episode past a limit."""
        batch = list(steps)
        for step in batch:
            self._check("observation", len(step.observation.encode()), TooLarge)
        self._check("steps", episode.steps + len(batch), TooMany)
        self._check("episode", episode.size + sum(step.size for step in batch), TooLarge)

    def check_artifacts(self, episode: Episode, artifacts: Iterable[str]) -> None:
        """Refuse an artifact that is too large, or that makes the episode too large."""
        sizes = [len(artifact.encode()) for artifact in artifacts]
        for size in sizes:
            self._check("artifact", size, TooLarge)
        self._check("episode", episode.size + sum(sizes), TooLarge)

    def check_body(self, size: int) -> None:
        """Refuse a request body that is larger than an episode may be."""
        self._check("episode", size, TooLarge)

    def _check(self, limit: str, size: int, error: type[ServiceError]) -> None:
        allowed: int = getattr(self, limit)
        if size > allowed:
            scope.counter(m.LIMIT_REJECTIONS, limit=limit).inc()
            unit = "bytes" if error is TooLarge else limit
            raise error(f"{limit}: {size} {unit}, the limit is {allowed}")


class RateLimit:
    """A token bucket for all callers: `per_second` requests on average, `burst` in one moment."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()
        self._lock = scope.Lock("rate_limit")
        self._refused = scope.counter(m.LIMIT_RATE_LIMITED)

    def take(self) -> None:
        """Take one token, or raise TooFast."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            if self._tokens >= 1:
                self._tokens -= 1
                return
        self._refused.inc()
        raise TooFast(f"more than {self._rate:g} requests a second; slow down")


class DailyQuota:
    """The number of episodes that a user may create in a day (UTC)."""

    def __init__(self, episodes: int, clock: Callable[[], float] = time.time) -> None:
        self._episodes = episodes
        self._clock = clock
        self._day = 0
        self._used: dict[str, int] = {}
        self._lock = scope.Lock("quota")
        self._refused = scope.counter(m.LIMIT_QUOTA_EXCEEDED, quota=EPISODES_PER_DAY)

    def take(self, user: str) -> None:
        """Count one episode of `user`, or raise TooFast."""
        with self._lock:
            today = int(self._clock() // _DAY)
            if today != self._day:
                self._day, self._used = today, {}
            used = self._used.get(user, 0)
            if used < self._episodes:
                self._used[user] = used + 1
                return
        self._refused.inc()
        raise TooFast(f"user {user!r} has used up the {self._episodes} episodes of today")
