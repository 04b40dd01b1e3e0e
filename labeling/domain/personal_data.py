"""Personal data that a text seems to hold: found by its form, and by its checksum where it has one.

What is found is flagged for a person to look at, never cut out: a pattern knows neither every
name nor whether a number is anybody's. It errs on the side of asking.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

EMAIL, PHONE, IBAN, CARD, ADDRESS = "email", "phone", "iban", "card", "ip_address"


@dataclass(frozen=True, order=True)
class Found:
    """One place in a text, characters `start` to `end`, and the kind of what stands there."""

    start: int
    end: int
    kind: str


_EMAIL: Final = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
# In one piece, or printed in groups; in capitals, or the words after it would be taken for its own.
_IBAN: Final = re.compile(
    r"(?<!\w)(?:[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}|[a-z]{2}\d{2}[a-z0-9]{11,30})(?!\w)", re.ASCII
)
_CARD: Final = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)", re.ASCII)
_IPV4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)", re.ASCII)
_IPV6: Final = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?![\w:])", re.ASCII
)
# With the sign or zeros of another country; in at least three groups; or a Chinese mobile number.
_PHONE: Final = re.compile(
    r"(?<![\w.])(?:(?:\+|00)[1-9](?:[ ./()-]{0,2}\d){6,14}"
    r"|\(?0?\d{2,5}\)?[ .-]{1,2}\d{2,4}[ .-]\d{2,4}(?:[ .-]\d{2,4})?"
    r"|1[3-9]\d{9})(?!\w|\.\d)",
    re.ASCII,
)
_LEAST_PHONE, _MOST_PHONE = 8, 15
# 2024-11-21, 21.11.2024: in groups, but a day.
_DAY: Final = re.compile(r"(?:\d{4}[ .-]\d{1,2}[ .-]\d{1,2}|\d{1,2}[ .-]\d{1,2}[ .-]\d{4})")


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdecimal())


def is_card(text: str) -> bool:
    """Return whether the digits, 13 to 19, have a payment card's checksum (Luhn, ISO/IEC 7812)."""
    digits = [int(digit) for digit in _digits(text)]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Return whether a text has the checksum of an account number (ISO 13616: 1 modulo 97)."""
    plain = "".join(letter for letter in text.upper() if letter.isalnum())
    if not 15 <= len(plain) <= 34 or not plain.isascii():
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def _is_address(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text.rstrip("."))
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified)


def _is_phone(text: str) -> bool:
    return _LEAST_PHONE <= len(_digits(text)) <= _MOST_PHONE and not _DAY.fullmatch(text)


_KINDS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...]] = (
    (EMAIL, _EMAIL, lambda text: True),
    (IBAN, _IBAN, is_iban),
    (CARD, _CARD, is_card),
    (ADDRESS, _IPV4, _is_address),
    (ADDRESS, _IPV6, _is_address),
    (PHONE, _PHONE, _is_phone),
)
"""In the order in which a place is given to a kind: what has a checksum comes before a phone."""


def _matches(text: str) -> Iterator[Found]:
    for kind, pattern, holds in _KINDS:
        for match in pattern.finditer(text):
            if kind == IBAN:
                yield from _account_in(match)
            elif holds(match[0]):
                yield Found(match.start(), match.end(), kind)


def _account_in(match: re.Match[str]) -> Iterator[Found]:
    """Yield the account number that a match begins with: words after it may have joined it."""
    for end in range(match.end(), match.start() + 14, -1):
        if is_iban(match.string[match.start() : end]):
            yield Found(match.start(), end, IBAN)
            return


def personal_data(text: str) -> list[Found]:
    """Return what seems to be personal data, in order; a place is given to one kind alone."""
    found: list[Found] = []
    for new in _matches(text):
        if all(new.end <= old.start or old.end <= new.start for old in found):
            found.append(new)
    return sorted(found)
