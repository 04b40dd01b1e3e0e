"""LaTeX mathematics as MathML, which browsers set by themselves: no script, no font, no style.

The converter is trusted with nothing. It gives a tree, and only a tree made of the few elements
and attributes below is written out, escaped here. Any other (colours, phantoms, links, negative
space), one that lost a letter or digit of its source, and whatever the converter can't read are
answered with None: then the source is shown.
"""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter
from markdown_it.common.utils import escapeHtml

from labeling.domain.visible import has_unseen

MAX_CHARS = 2_000
_MAX_DEPTH, _MAX_SCRIPTS = 40, 4  # each script in a script is smaller: five deep is no text
_SCRIPTS = {
    "msub",
    "msup",
    "msubsup",
    "munder",
    "mover",
    "munderover",
}
# An element with more or fewer children than these is shown as a fault by browsers.
_CHILDREN = {
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **{"msubsup": 3, "munderover": 3},
}
TAGS = _SCRIPTS | {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot"),
    *("mtable", "mtr", "mtd", "mstyle", "menclose"),
}
_SWITCHES = {
    *("stretchy", "fence", "separator", "accent", "accentunder", "largeop", "movablelimits"),
    "displaystyle",
}
_LENGTH = r"-?0?(?:\.\d{1,4})?em|[0-2](?:\.\d{1,4})?em|0"
_SIZE = r"[0-3](?:\.\d{1,4})?em"
_VALUES = dict.fromkeys(_SWITCHES, "true|false") | {
    **{"display": "inline|block", "form": "prefix|infix|postfix", "mathvariant": "normal"},
    **{"minsize": _SIZE, "maxsize": _SIZE, "linethickness": "0", "scriptlevel": "[0-2]"},
    **{"width": _LENGTH, "lspace": _LENGTH, "rspace": _LENGTH, "notation": "box"},
    **{"columnalign": "left|center|right", "columnlines": "[a-z ]+", "rowlines": "[a-z ]+"},
}
ATTRIBUTES = {"alttext", *_VALUES}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _VALUES.items()}
# A macro may grow without bounds, and a comment would vanish.
_REFUSED = re.compile(
    r"\\(?:def|let|newcommand|renewcommand|providecommand|newenvironment|renewenvironment"
    r"|DeclareMathOperator)(?![A-Za-z])|(?<!\\)(?:\\\\)*%"
)
_COMMAND = re.compile(
    r"\\begin\{array\}\{[lcr|]*\}|\\(?:begin|end)\{[A-Za-z]+\*?\}|\\[A-Za-z]+\*?|\\."
)
# Environments of the same look that the converter knows by another name, or not at all.
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(\w+)(\*?)\}")
_RENAMED = {
    **{"align": "align*", "aligned": "split", "eqnarray": "matrix", "dcases": "cases"},
    **{"gather": "matrix", "gathered": "matrix", "equation": "", "displaymath": ""},
}
_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{2,}(?![A-Za-z(])")
_FUNCTIONS = {"sin", "cos", "tan", "log", "ln", "exp", "lim", "max", "min", "mod", "det"}
_SIGN = re.compile(r"[=^_<>+*/|≤≥≠±×÷∈∞√∑∫→-]")


def looks_like_formula(text: str) -> bool:
    """Return whether what stands between dollar signs is mathematics, and not money or prose."""
    if re.search(r"\\[A-Za-z]{2,}|[_^]\{", text):
        return True
    words = [w for w in _WORD.findall(text) if w.lower() not in _FUNCTIONS]
    if any(c in text for c in "€£¥") or (words and re.search(r"\s", text)):
        return False
    if len(text) <= 6:
        return all(len(word) <= 3 for word in words)
    return _SIGN.search(text) is not None and not words


def as_mathml(source: str, *, block: bool) -> str | None:
    """Return a formula as `<math>` with its source as `alttext`; None where it can't be shown."""
    if len(source) > MAX_CHARS or _REFUSED.search(source) or has_unseen(source):
        return None
    try:
        converter = Converter(display="block" if block else "inline")
        tree = converter.convert_to_element(_ENVIRONMENT.sub(_renamed, source))
    except Exception:  # noqa: BLE001 a hostile formula may fail at any place of the converter
        return None
    tree.attrib.pop("xmlns", None)
    written = list(_written(tree))
    if not all(written) or not _is_whole(source, tree):
        return None
    alttext = f'<math alttext="{escapeHtml(source)}"'
    return alttext + "".join(piece for piece in written if piece).removeprefix("<math")


def _renamed(found: re.Match[str]) -> str:
    name = _RENAMED.get(found[2], found[2] + found[3])
    return f"\\{found[1]}{{{name}}}" if name else ""


def _written(node: Element, depth: int = 0, scripts: int = 0) -> Iterator[str | None]:
    """Yield the HTML of a tree in pieces; None at what is not allowed."""
    scripts += node.tag in _SCRIPTS
    attributes = [(k, v) for k, v in node.attrib.items() if not k.endswith("spacing")]
    if depth > _MAX_DEPTH or scripts > _MAX_SCRIPTS or not _is_allowed(node, attributes):
        yield None
        return
    yield f"<{node.tag}" + "".join(f' {k}="{v}"' for k, v in attributes) + ">"
    if node.text:
        yield escapeHtml(html.unescape(node.text))
    for child in node:
        yield from _written(child, depth + 1, scripts)
    yield f"</{node.tag}>"


def _is_allowed(node: Element, attributes: list[tuple[str, str]]) -> bool:
    if node.tag not in TAGS or node.tail:
        return False
    if len(node) != _CHILDREN.get(node.tag, len(node)):
        return False
    return all(k in _PATTERNS and _PATTERNS[k].fullmatch(v) for k, v in attributes)


def _letters(text: str) -> Counter[str]:
    return Counter(filter(str.isalnum, unicodedata.normalize("NFKC", text)))


def _is_whole(source: str, tree: Element) -> bool:
    """Return whether every letter and digit of the source is seen, and no command unread."""
    text = html.unescape("".join(tree.itertext()))
    if "\\" in text or has_unseen(re.sub("[\u2061-\u2064]", "", text)):
        return False
    return _letters(_COMMAND.sub(" ", source)) <= _letters(text)
