"""HTTP basic authentication for the metrics server."""

from __future__ import annotations

import base64
import binascii
import hmac

CHALLENGE = ("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"')


def credentials(basic_auth: object) -> bytes:
    """Return a user and a password as a client sends them, before base64.

    Raises:
        ValueError: not two strings with something in them, or a user that HTTP cannot carry. It shows neither.
    """
    match basic_auth:
        case (str(user), str(password)) if user and password and ":" not in user:
            # What came from the environment may be no UTF-8.
            return f"{user}:{password}".encode("utf-8", "surrogateescape")
    raise ValueError("basic_auth must be (user, password): two strings, neither empty, and no colon in the user")


def authorized(header: str, expected: bytes) -> bool:
    """Return whether an Authorization header carries these credentials; takes equally long for any wrong ones."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, expected)
