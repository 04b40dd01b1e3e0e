"""Identifiers that sort by the time of their making."""

import secrets
import time
from uuid import UUID


def ordered_uid() -> UUID:
    """Return a UUID of version 7 (RFC 9562, 5.7): milliseconds first, then 74 random bits.

    New rows then stand side by side in an index, where random ones would touch, and write to the
    log, another page of it each.
    """
    milliseconds = time.time_ns() // 1_000_000
    random_a, random_b = secrets.randbits(12), secrets.randbits(62)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)
