"""A process that prepares measurements and takes their samples on request; `workers.py` starts it.

It reads one JSON request a line and answers each with one line. It runs in the environment of the library that it
measures, so this module needs the standard library only.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

Sampler = Callable[[], float]


class Worker:
    """The measurements that were prepared here, by name."""

    def __init__(self) -> None:
        self._samplers: dict[str, Sampler] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Handle a request; answer an error instead of raising it, so that the other measurements continue."""
        try:
            if "prepare" in request:
                return self._prepare(request["prepare"], request["case"])
            return {"value": self._sample(request["sample"])}
        except Exception as error:
            # A message of a case is complete; an error of a library needs its type.
            return {"error": str(error) if type(error) is RuntimeError else f"{type(error).__name__}: {error}"}

    def _prepare(self, name: str, case: str) -> dict[str, Any]:
        module, _, function = case.partition(":")
        self._samplers[name] = getattr(importlib.import_module(module), function)()
        self._sample(name)  # the warm-up: caches, specialised bytecode, memory from the system
        gc.freeze()  # the collector need not scan the objects of the cases before each sample
        return {"ready": True}

    def _sample(self, name: str) -> float:
        # The collector would run in any sample that reaches its threshold, for garbage of another one.
        gc.collect()
        gc.disable()
        try:
            return self._samplers[name]()
        finally:
            gc.enable()


def main() -> None:
    """Answer requests until there are no more."""
    # Output of a library must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
