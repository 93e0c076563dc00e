"""The exception that the command line prints as a single line."""

from __future__ import annotations


class MnemoscopeError(Exception):
    """An error that a user can fix: bad settings, a missing tool, a server that does not answer.

    The message is one line with the error, its place and the fix. `exit_code` is 1 for a check that failed, and
    2 for unusable arguments, settings or environment.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
