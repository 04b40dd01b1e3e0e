"""Code in colours: Pygments' tokens as spans of a few classes of our own."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, String, Token

from labeling.domain.visible import as_visible

# Pygments knows more than 500 languages, and some of its patterns take time that grows with the
# square of the text. So only these are coloured, and only as much code as people read.
LANGUAGES = {
    *("bash", "c", "c++", "c#", "cpp", "cs", "csharp", "css", "dart", "diff", "docker"),
    *("dockerfile", "elixir", "erlang", "go", "golang", "graphql", "haskell", "html", "ini"),
    *("java", "javascript", "js", "json", "jsx", "julia", "kotlin", "latex", "lua"),
    *("matlab", "objective-c", "perl", "php", "powershell", "py", "python", "python3"),
    *("r", "rb", "ruby", "rust", "rs", "scala", "sh", "shell", "sql", "swift", "tex", "toml"),
    *("ts", "tsx", "typescript", "xml", "yaml", "yml", "zsh"),
}
MAX_CHARS = 8_000
_UNREAD = re.compile(r"[^\n]{1000}|\n{40}")  # no code that people write; slow for some patterns
_KINDS = (
    (Comment, "h-c"),
    (Keyword, "h-k"),
    (String, "h-s"),
    (Number, "h-m"),
    (Name.Function, "h-f"),
    (Name.Class, "h-f"),
    (Name.Tag, "h-k"),
    (Name.Builtin, "h-b"),
    (Name.Attribute, "h-b"),
    (Name.Decorator, "h-b"),
    (Generic.Deleted, "h-d"),
    (Generic.Inserted, "h-i"),
)
CLASSES = {name for _, name in _KINDS}


@lru_cache(maxsize=len(LANGUAGES))
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language)


@lru_cache(maxsize=1024)
def _class_of(kind: object) -> str:
    """Return the class for a kind of token, empty where it has no colour of its own."""
    return next((name for known, name in _KINDS if kind in known), "")


def _pieces(code: str, language: str) -> Iterator[tuple[str, str]]:
    """Yield (class, text) for each stretch of code of one colour."""
    tokens: Iterator[tuple[int, object, str]] = _lexer(language).get_tokens_unprocessed(code)
    for name, same in groupby(tokens, key=lambda token: _class_of(token[1] or Token)):
        yield name, "".join(text for _, _, text in same)


def highlight(code: str, language: str) -> str | None:
    """Return code as HTML with coloured spans; None for what is not coloured."""
    language = language.lower()
    if language not in LANGUAGES or len(code) > MAX_CHARS or _UNREAD.search(code):
        return None
    pieces = list(_pieces(code, language))
    if "".join(text for _, text in pieces) != code:
        return None
    return "".join(
        f'<span class="{name}">{as_visible(text)}</span>' if name else as_visible(text)
        for name, text in pieces
    )
