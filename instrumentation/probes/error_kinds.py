"""Turn an exception into one of a few error kinds."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping

ErrorKind = Callable[[BaseException], str]

# By the names of the exception's classes, most specific first, so that no driver has to be imported.
_BY_NAME: tuple[tuple[str, str], ...] = (
    ("timeout", "timeout"),
    ("connect", "connection"),
    ("brokenpipe", "connection"),
    ("disconnect", "connection"),
    ("integrity", "integrity"),
    ("constraint", "integrity"),
    ("unique", "integrity"),
    ("corrupt", "corruption"),
    ("checksum", "corruption"),
    ("quota", "quota"),
    ("full", "quota"),
    ("busy", "busy"),
    ("locked", "busy"),
)
# By words of the message, for drivers that raise one class for everything (SQLite).
_BY_MESSAGE: tuple[tuple[str, str], ...] = (
    ("database is locked", "busy"),
    ("table is locked", "busy"),
    ("malformed", "corruption"),
    ("not a database", "corruption"),
    ("disk is full", "quota"),
    ("timed out", "timeout"),
    ("unable to open", "connection"),
)
_BY_ERRNO = {
    errno.ENOSPC: "quota",
    errno.EDQUOT: "quota",
    errno.EAGAIN: "busy",
    errno.EBUSY: "busy",
    errno.EIO: "corruption",
}


def error_kind(error: BaseException) -> str:
    """Return `timeout`, `connection`, `busy`, `integrity`, `corruption`, `quota` or `other`.

    The kind comes from the type, else the errno, else the message. So the common drivers are known without an import.

    >>> error_kind(TimeoutError()), error_kind(KeyError("x"))
    ('timeout', 'other')
    """
    names = [cls.__name__.lower() for cls in type(error).__mro__ if cls not in (OSError, Exception, BaseException)]
    for part, kind in _BY_NAME:
        if any(part in name for name in names):
            return kind
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    message = str(error).lower()
    return next((kind for part, kind in _BY_MESSAGE if part in message), "other")


def mapped(rules: Mapping[type[BaseException], str], error: BaseException) -> str:
    """Return the kind that `rules` give the exception's class or its nearest base class, else `error_kind`'s.

    >>> mapped({OSError: "busy"}, PermissionError()), mapped({OSError: "busy"}, TimeoutError("x"))
    ('busy', 'busy')
    """
    for cls in type(error).__mro__:
        if cls in rules:
            return rules[cls]
    return error_kind(error)
