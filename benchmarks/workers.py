"""The processes that measure: starting them, requesting samples, ending them."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHECKOUT = Path(__file__).parent.parent
ANSWER_SECONDS = 120.0
"""No single sample takes a tenth of this, however slow the library."""


class NotMeasuredError(Exception):
    """A measurement could not be taken; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """The kind of process that takes a measurement.

    Attributes:
        environment: the virtual environment, as a key of the interpreters that the run was given.
        directories: environment variables that name a fresh, empty directory.
        variables: other environment variables.
        pinned: whether it keeps to one CPU; the same one for every place, as only one of them is busy at a time.
    """

    environment: str = "peers"
    directories: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    pinned: bool = True


class WorkerProcess:
    """One process of a place."""

    def __init__(self, place: Place, interpreter: Path) -> None:
        self._stack = ExitStack()
        environment = {k: v for k, v in os.environ.items() if "MULTIPROC" not in k.upper()}
        for name in place.directories:
            folder = tempfile.mkdtemp(prefix="bench-")
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            environment[name] = folder
        try:
            self._process = subprocess.Popen(
                [interpreter, "-m", f"{__package__}.worker"],
                cwd=CHECKOUT,
                env={**environment, **place.variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as error:
            self._stack.close()
            raise NotMeasuredError(f"the interpreter of environment {place.environment!r}: {error.strerror}") from error
        self._stack.callback(self._end)
        if place.pinned and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._process.pid, {max(os.sched_getaffinity(0))})

    def prepare(self, name: str, case: str) -> None:
        """Prepare a measurement and warm it up.

        Raises:
            NotMeasuredError: the case, or the process, failed.
        """
        self._ask({"prepare": name, "case": case})

    def sample(self, name: str) -> float:
        """Return one value of a measurement that was prepared. Raises as `prepare` does."""
        return float(self._ask({"sample": name})["value"])

    def close(self) -> None:
        """End the process and remove its directories."""
        self._stack.close()

    def _ask(self, request: dict[str, str]) -> dict[str, Any]:
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            pipe_in.write(json.dumps(request).encode() + b"\n")
            pipe_in.flush()
            line = self._line(pipe_out)
        except OSError:
            line = b""
        if not line:
            raise NotMeasuredError(f"the process ended with exit code {self._end()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NotMeasuredError(answer["error"])
        return answer

    def _line(self, pipe: Any) -> bytes:
        # Each request has exactly one answer, so the pipe's buffer is empty whenever this waits.
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(ANSWER_SECONDS):
                self._process.kill()
                raise NotMeasuredError(f"no answer within {ANSWER_SECONDS:.0f} s")
        line: bytes = pipe.readline()
        return line

    def _end(self) -> int:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            return self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Crew:
    """The processes of one row, each started when it is first needed."""

    def __init__(self, places: Mapping[str, Place], interpreters: Mapping[str, Path]) -> None:
        self._places = places
        self._interpreters = interpreters
        self._started: dict[str, WorkerProcess] = {}

    def at(self, place: str) -> WorkerProcess:
        """Return the process of a place.

        Raises:
            NotMeasuredError: it cannot be started.
        """
        if place not in self._started:
            spec = self._places[place]
            self._started[place] = WorkerProcess(spec, self._interpreters[spec.environment])
        return self._started[place]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._started.values():
            process.close()
