"""Text from bytes of another encoding, made valid for UTF-8 formats and protobuf."""

from __future__ import annotations


def valid(text: str) -> str:
    r"""Return `text` with a question mark for each lone surrogate, which would fail the whole page or push.

    >>> valid("ni\udcf1o")
    'ni?o'
    """
    return text.encode("utf-8", "replace").decode()
