"""Text in chunks of bytes that are large enough to write and small enough to compress quickly."""

from __future__ import annotations

from collections.abc import Iterator

from ...recording.pauses import with_pauses

CHUNK_CHARACTERS = 64 * 1024
"""About how much text one chunk holds."""

_PIECES_BETWEEN_PAUSES = 128


def encoded_chunks(pieces: Iterator[str]) -> Iterator[bytes]:
    """Yield the text of all pieces as UTF-8, in chunks, and let other threads run in between."""
    held: list[str] = []
    size = 0
    for piece in with_pauses(pieces, _PIECES_BETWEEN_PAUSES):
        held.append(piece)
        size += len(piece)
        if size >= CHUNK_CHARACTERS:
            yield _encoded(held)
            held, size = [], 0
    if held:
        yield _encoded(held)


def _encoded(pieces: list[str]) -> bytes:
    # A lone surrogate in a label value must not cost the whole scrape.
    return "".join(pieces).encode("utf-8", "replace")
