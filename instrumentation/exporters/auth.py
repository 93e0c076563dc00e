"""HTTP basic authentication for the metrics server."""

from __future__ import annotations

import base64
import binascii
import hmac

CHALLENGE = ("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"')


def authorized(header: str, user: str, password: str) -> bool:
    """Whether an Authorization header carries these credentials; takes equally long for any wrong ones."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, f"{user}:{password}".encode())
