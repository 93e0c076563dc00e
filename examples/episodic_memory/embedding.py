"""Text to vector, without a model: words and their letter trigrams, hashed into a fixed number of dimensions.

The same text gives the same vector in every process and on every machine.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict

import numpy as np
import numpy.typing as npt

DIMENSIONS = 256
Vector = npt.NDArray[np.float32]

_WORD = re.compile(r"[a-z_]+")
# Words that occur in every text do not characterise it.
# fmt: off
_STOP_WORDS = frozenset((
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "but", "by", "can", "for", "from", "has",
    "have", "if", "in", "is", "it", "its", "may", "must", "not", "of", "on", "one", "or", "that", "the",
    "this", "to", "used", "was", "when", "which", "will", "with",
))
# fmt: on
_WORD_WEIGHT = 2.0
_TRIGRAM_WEIGHT = 0.3


def embed(text: str) -> Vector:
    """Return the unit vector of `text`, or zero if it has no word; a dot product is then the cosine similarity."""
    features: defaultdict[str, float] = defaultdict(float)
    for word in _WORD.findall(text.lower()):
        if word in _STOP_WORDS:
            continue
        features[word] += _WORD_WEIGHT
        padded = f"<{word}>"
        for start in range(len(padded) - 2):
            features[padded[start : start + 3]] += _TRIGRAM_WEIGHT
    vector = np.zeros(DIMENSIONS, np.float32)
    for feature, weight in features.items():
        digest = zlib.crc32(feature.encode())
        sign = 1 if digest & 0x8000_0000 else -1
        vector[digest % DIMENSIONS] += sign * weight**0.5
    return unit(vector)


def unit(vector: Vector) -> Vector:
    """Return `vector` scaled to length one; a zero vector stays zero."""
    length = float(np.linalg.norm(vector))
    return vector if length == 0 else np.asarray(vector / length, np.float32)


def diversity(vectors: Vector) -> float:
    """Return one minus the mean pairwise similarity of the rows, 0 to 1; for a single row, 0."""
    count = len(vectors)
    if count < 2:
        return 0.0
    similarity = (float((vectors @ vectors.T).sum()) - count) / (count * (count - 1))
    return min(1.0, max(0.0, 1 - similarity))
