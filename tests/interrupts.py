"""Raise an exception at a chosen point of the code under test, as a signal handler does."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import mnemoscope.instrumentation as package

_FOLDER = package.__file__.removesuffix("__init__.py")
_handled: dict[CodeType, dict[int, bool]] = {}


class Interrupt(Exception):
    """What the handler raises: Celery's time limit, say."""


def in_package(code: CodeType) -> bool:
    """Return whether code is of the library."""
    return code.co_filename.startswith(_FOLDER)


def interrupted_at(step: int, action: Callable[[], object], watched: Callable[[CodeType], bool] = in_package) -> bool:
    """Run `action` and raise `Interrupt` before the `step`-th bytecode of `watched` code; False if it has fewer."""
    return _interrupted(step, action, lambda _: True, watched)


def signalled_at(step: int, action: Callable[[], object]) -> bool:
    """Raise `Interrupt` at the `step`-th point of this package where a signal handler can run; False if it has fewer.

    The interpreter looks for signals after a call of what is not written in Python, as a function begins, and where a
    loop goes back.
    """
    looks: dict[FrameType, bool] = {}

    def is_point(frame: FrameType) -> bool:
        looked, looks[frame] = looks.get(frame, False), _is_followed_by_handlers(frame)
        return looked

    return _interrupted(step, action, is_point, in_package, looks)


def _is_followed_by_handlers(frame: FrameType) -> bool:
    code = frame.f_code
    if code not in _handled:
        _handled[code] = {
            at.offset: at.opname.startswith("CALL")
            or at.opname == "JUMP_BACKWARD"
            or (at.opname == "RESUME" and (at.arg or 0) < 2)
            for at in dis.get_instructions(code)
        }
    return _handled[code][frame.f_lasti]


def _interrupted(
    step: int,
    action: Callable[[], object],
    is_point: Callable[[FrameType], bool],
    watched: Callable[[CodeType], bool],
    looks: dict[FrameType, bool] | None = None,
) -> bool:
    left = step

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if looks is not None and event == "call" and frame.f_back is not None:
            looks[frame.f_back] = False  # that call was of Python code, which looks as it begins, and not as it ends
        if not watched(frame.f_code) or left == 0:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and is_point(frame):
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 reports opcodes only if a frame wanted them before
    sys.settrace(trace)
    try:
        action()
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
        if looks is not None:
            looks.clear()
    return left == 0
