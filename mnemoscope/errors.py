"""The one exception that the command line shows as a single line."""

from __future__ import annotations


class MnemoscopeError(Exception):
    """Something a person can mend: bad settings, a missing tool, a server that does not answer.

    The message is one line that says what is wrong, where, and what to do. `exit_code` is 1 for a check
    that failed and 2 for a call, a setting or a surrounding that is unusable.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
