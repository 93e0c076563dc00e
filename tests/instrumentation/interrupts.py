"""Raise an exception at a chosen point of the code under test, as a signal handler does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import mnemoscope.instrumentation as package

_FOLDER = package.__file__.removesuffix("__init__.py")


class Interrupt(Exception):
    """What the handler raises: Celery's time limit, say."""


def interrupted_at(step: int, action: Callable[[], Any]) -> bool:
    """Run `action` and raise `Interrupt` before the `step`-th bytecode of this package; False if it has fewer."""
    left = step
    fired = False

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left, fired
        if not frame.f_code.co_filename.startswith(_FOLDER):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left <= 0 and not fired:
                fired = True
                sys.settrace(None)
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
    return fired
