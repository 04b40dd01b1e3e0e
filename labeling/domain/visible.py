"""Characters that nobody sees are shown by their code point: text to be judged hides nothing.

What belongs to a script stays: joiners inside of emoji and of scripts that join, variation
selectors behind a symbol, direction marks in a text that runs from right to left.
"""

import re
import unicodedata
from itertools import groupby

from markdown_it.common.utils import escapeHtml

# Control and format characters, fillers, tags, the blank of Braille, and what is no character.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MARKS_KEPT = 4  # more of them over one letter would write into the lines around it
_NAMED = re.compile(f"[{_UNSEEN}]+|(?<=[{_MARKS}]{{{_MARKS_KEPT}}})[{_MARKS}]+")
_UNSEEN_ONE = re.compile(f"[{_UNSEEN}]")
_GROUPS_SHOWN = 8
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")
_JOINED = re.compile("[\ufe0e\ufe0f]?[\u200c\u200d]?")
_FLAG = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
_VARIANTS, _VARIED = "\ufe0e\ufe0f", {*"0123456789#*©®"}
_FIRST_JOINING = "\u0530"  # Latin, Greek and Cyrillic, which lie before it, join nothing
FILLERS = "\u115f\u1160\u3164\uffa0"  # letters by their category, and yet nothing to see


def has_unseen(text: str) -> bool:
    """Return whether a text holds a character that nobody sees."""
    return _UNSEEN_ONE.search(text) is not None


def as_visible(text: str) -> str:
    """Return a text as HTML in which what nobody sees stands by name, as in `[U+200B]`."""
    pieces, end = [], 0
    for found in _NAMED.finditer(text):
        pieces.append(escapeHtml(text[end : found.start()]))
        pieces.append(found[0] if _belongs(text, found) else _names(found[0]))
        end = found.end()
    pieces.append(escapeHtml(text[end:]))
    return "".join(pieces)


def _belongs(text: str, found: re.Match[str]) -> bool:
    """Return whether the script around a run of such characters asks for it."""
    run = found[0]
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    if run in {"\u200e", "\u200f", "\u061c"}:
        return _RIGHT_TO_LEFT.search(text) is not None
    if _FLAG.fullmatch(run):
        return before == "\U0001f3f4"
    if len(run) == 1 and run >= "\U000e0100":  # variants of ideographs
        return "\u3400" <= before <= "\u9fff" or before >= "\U00020000"
    if not _JOINED.fullmatch(run):
        return False
    if run[0] in "\ufe0e\ufe0f" and not (
        before >= _FIRST_JOINING or before in set("0123456789#*©®")
    ):
        return False
    return run[-1] not in "\u200c\u200d" or min(before, after) >= _FIRST_JOINING


def _names(run: str) -> str:
    """Return the names of a run, repeats counted, and how many follow after the first few."""
    groups = [(char, len(list(same))) for char, same in groupby(run)]
    shown = [_name(char, count) for char, count in groups[:_GROUPS_SHOWN]]
    rest = sum(count for _, count in groups[_GROUPS_SHOWN:])
    return "".join(shown) + (f'<span class="named">[+ {rest}]</span>' if rest else "")


def _name(char: str, count: int) -> str:
    name = unicodedata.name(char, "")
    title = f' title="{name}"' if name else ""
    times = f" × {count}" if count > 1 else ""
    return f'<span class="named"{title}>[U+{ord(char):04X}{times}]</span>'
