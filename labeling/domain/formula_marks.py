r"""Where a formula begins and ends in Markdown: `$..$`, `$$..$$`, `\(..\)` and `\[..\]`.

Dollars are money more often than not. A dollar opens a formula only before a sign that is no
space, and closes it only behind one and before no digit; what stands between has to look like
mathematics. The same is asked of the brackets, which Markdown may mean as escaped ones.
"""

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from labeling.domain.formulas import MAX_CHARS, looks_like_formula

CLOSINGS = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_MAX_LINES = 60


def add_formulas(markdown: MarkdownIt) -> None:
    """Let a parser find formulas: tokens `math_inline` and `math_block`, their marks as markup."""
    markdown.inline.ruler.before("escape", "math_inline", _inline)
    markdown.block.ruler.before(
        "fence", "math_block", _block, {"alt": ["paragraph", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:
    opening = next((o for o in CLOSINGS if state.src.startswith(o, state.pos)), None)
    if opening is None:
        return False
    start = state.pos + len(opening)
    end = _closing(state.src, start, min(state.posMax, start + MAX_CHARS), CLOSINGS[opening])
    if end is None or not looks_like_formula(state.src[start:end].strip()):
        return False
    if opening == "$" and not _stands_like_a_formula(state.src, start, end):
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content, token.markup = state.src[start:end], opening
    state.pos = end + len(CLOSINGS[opening])
    return True


def _closing(text: str, start: int, limit: int, mark: str) -> int | None:
    """Return where the next closing mark is that no backslash takes away."""
    end = text.find(mark, start, limit)
    while mark[0] == "$" and end > start and text[end - 1] == "\\":
        end = text.find(mark, end + 1, limit)
    return end if end > start and text[start:end].strip() else None


def _stands_like_a_formula(text: str, start: int, end: int) -> bool:
    """Return whether the signs on both sides of the dollars allow a formula there."""
    before, after = text[start - 2 : start - 1] if start > 1 else "", text[end + 1 : end + 2]
    if text[start].isspace() or text[end - 1].isspace():
        return False
    return not any(side.isalnum() or side == "$" for side in (before, after))


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    first = _line(state, start_line)
    opening = first[:2]
    if opening not in {"$$", "\\["} or state.is_code_block(start_line):
        return False
    closing = CLOSINGS[opening]
    lines, number = [first[2:]], start_line
    while closing not in lines[-1]:
        number += 1
        if number >= min(end_line, start_line + _MAX_LINES) or _is_left(state, number):
            return False
        lines.append(_line(state, number))
    content, _, rest = "\n".join(lines).partition(closing)
    if rest.strip() or not content.strip() or not looks_like_formula(content):
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.content, token.markup, token.map = content, opening, [start_line, number + 1]
        token.block = True
        state.line = number + 1
    return True


def _is_left(state: StateBlock, number: int) -> bool:
    """Return whether the block has ended before this line."""
    return state.isEmpty(number) or state.sCount[number] < state.blkIndent
