"""Tickets, by which a task proves to another one who it is without telling it any secret.

The key of a ticket follows from the token of the task that is called, the bearer and the time at
which the ticket ends. The controller knows all tasks' tokens and gives the key to the bearer; the
task that is called works it out. Nobody else can.
"""

import hashlib
import hmac

_PURPOSE = b"iris actor ticket"


def ticket_key(token_of_called: str, bearer: str, expires_at: int) -> bytes:
    """What both sides sign with.

    Args:
        expires_at: Unix time, in seconds.
    """
    return sign(token_of_called.encode(), _PURPOSE, bearer.encode(), str(expires_at).encode())


def sign(key: bytes, *parts: bytes) -> bytes:
    """A signature over the parts and their boundaries."""
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.digest()


def is_signed(signature: bytes, key: bytes, *parts: bytes) -> bool:
    """Whether `sign` made it."""
    return hmac.compare_digest(signature, sign(key, *parts))
