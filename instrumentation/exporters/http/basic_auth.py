"""HTTP basic authentication for the metrics server."""

from __future__ import annotations

import base64
import binascii
import hmac

CHALLENGE = ("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"')


def credentials(basic_auth: object) -> bytes:
    """Return a user and a password as a client sends them, before base64.

    Raises:
        ValueError: not two strings that are not empty, or a user that HTTP cannot carry. The message shows neither.
    """
    match basic_auth:
        case (str(user), str(password)) if user and password and ":" not in user:
            # A value from the environment may not be valid UTF-8.
            return f"{user}:{password}".encode("utf-8", "surrogateescape")
    raise ValueError("basic_auth must be (user, password): two strings, neither empty, and no colon in the user")


def authorized(header: str, expected: bytes) -> bool:
    """Return whether an Authorization header carries these credentials, in equal time for all wrong ones."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, expected)
