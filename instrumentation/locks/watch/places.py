"""Places in the code: where a lock was made, where it was taken, and where a thread is now."""

import contextlib
import os
import sys
import threading
from types import CodeType, FrameType
from typing import NamedTuple


class Place(NamedTuple):
    """A place in the code. It costs so little that every acquisition can note one. `str` gives file and line."""

    code: CodeType
    instruction: int

    def __str__(self) -> str:
        line = 0
        for start, end, number in self.code.co_lines():
            if start <= self.instruction < end and number is not None:
                line = number
                break
        return f"{self.code.co_filename}:{line} in {self.code.co_qualname}"


def in_locks(frame: FrameType) -> bool:
    """Return whether a frame runs code of this package or of `threading` rather than the code that uses the lock."""
    file = frame.f_code.co_filename
    if file not in _files and file.startswith(_OWN_FOLDERS):
        _files.add(file)  # a lookup is quicker than comparing the beginning each time
    return file in _files


# Strings, because they are compared with the file names of code objects.
_INSTRUMENTATION = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
_OWN_FOLDERS = tuple(os.path.join(_INSTRUMENTATION, folder, "") for folder in ("locks", "testing"))  # noqa: PTH118
_files: set[str] = {threading.Condition.wait.__code__.co_filename, contextlib.ExitStack.close.__code__.co_filename}


def pass_over(file: str) -> None:
    """Treat a file of the standard library like this package's: its code acquires locks for its caller."""
    _files.add(file)


def caller(depth: int) -> FrameType:
    """Return the frame of the code that uses the lock, at least `depth` calls up."""
    frame = sys._getframe(depth + 1)
    while in_locks(frame) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def call_stack(frame: FrameType | None) -> tuple[str, ...]:
    """Return the places from the outermost call to `frame`, without those in this package."""
    places = []
    while frame is not None:
        if not in_locks(frame):
            places.append(str(Place(frame.f_code, frame.f_lasti)))
        frame = frame.f_back
    return tuple(reversed(places))


def creation_site() -> str:
    """Return `folder/file.py:line` of the code that makes a lock: the class of locks without a name."""
    frame = caller(1)
    folder, file = os.path.split(frame.f_code.co_filename)
    return f"{os.path.basename(folder)}/{file}:{frame.f_lineno}"  # noqa: PTH119  # strings in, string out
