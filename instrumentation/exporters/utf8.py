"""Text that came as bytes of another encoding, made fit for formats that are UTF-8 and for protobuf."""

from __future__ import annotations


def valid(text: str) -> str:
    """Return `text` with a question mark for each lone surrogate, which would cost the whole page or push.

    >>> valid("ni\\udcf1o")
    'ni?o'
    """
    return text.encode("utf-8", "replace").decode()
