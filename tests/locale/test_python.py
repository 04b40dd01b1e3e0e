"""No sentence for people stands in the code outside translation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling import exceptions as labeling_exceptions
from labeling.exceptions import PrefloopError
from tests.locale.sources import REPOSITORY, sources
from training import exceptions as training_exceptions

# Programs and developers alone read these.
_UNREAD = {"api", "management", "demo", "recipes"}
_SAID = {
    *(name for name, item in vars(labeling_exceptions).items() if isinstance(item, type)),
    *(name for name, item in vars(training_exceptions).items() if isinstance(item, type)),
    *("ValidationError", "RecordError", "ContentError", "RankingError", "RunFolderError"),
    *("RunFolderBusy", "success", "warning", "Outcome"),
} - {"AttemptLost", PrefloopError.__name__}
_SHOWN = {"label", "help_text", "verbose_name", "reason"}
_WORDS = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")


def bare_sentences(code: str) -> list[tuple[int, str]]:
    """Return the sentences, each with its line, that an error, a form or a notice says bare."""
    return [
        (line, text)
        for call in ast.walk(ast.parse(code))
        if isinstance(call, ast.Call)
        for argument in _read_by_people(call)
        for line, text in _bare(argument)
    ]


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _read_by_people(call: ast.Call) -> Iterator[ast.expr]:
    if _name(call) in _SAID and not _is_log(call):
        yield from (*call.args, *(item.value for item in call.keywords))
    elif not _name(call).endswith("Serializer"):
        yield from (item.value for item in call.keywords if item.arg in _SHOWN - {"help_text"})


def _is_log(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in {"logger", "warnings"}


def _bare(node: ast.expr) -> Iterator[tuple[int, str]]:
    """Yield what is written out in an argument; what a call is given is that call's affair."""
    if isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Constant | ast.JoinedStr):
        text = ast.unparse(node)
        if _WORDS.search(text):
            yield node.lineno, text
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _bare(child)


def _files() -> list[Path]:
    python = [path for path in sources() if path.suffix == ".py"]
    rooms = [path for path in python if path.relative_to(REPOSITORY).parts[0] != "config"]
    return [path for path in rooms if not _UNREAD & set(path.parts)]


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_errors_forms_and_notices_are_translated(path: Path) -> None:
    assert bare_sentences(path.read_text()) == []


@pytest.mark.parametrize(
    "code",
    [
        'raise NotFound("There is nothing.")',
        'raise InvalidInput(_("No."), errors={"name": [f"Longer than {limit}."]})',
        'name = CharField(label="Your name")',
        'messages.success(request, "It is saved.")',
    ],
)
def test_a_bare_sentence_is_found(code: str) -> None:
    assert len(bare_sentences(code)) == 1


def test_translated_sentences_and_logs_pass() -> None:
    code = 'raise NotFound(_("There is nothing."))\nlogger.warning("It went away.")'
    assert bare_sentences(code) == []
