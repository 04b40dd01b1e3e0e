"""The documents name what is there: make targets, commands, modules, files, settings."""

import importlib.util
import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.conftest import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
# What stands in code: `...` within a line, or a block between two lines of ```.
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY))
)


def code_of(document: Path) -> str:
    """Return what a document says in code."""
    text = document.read_text()
    blocks = _BLOCK.findall(text)
    return "\n".join([*blocks, *_CODE.findall(_BLOCK.sub("", text))])


def make_targets() -> set[str]:
    """Return the targets of the Makefile that have a name."""
    text = (REPOSITORY / "Makefile").read_text()
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


@documents
def test_every_make_target_that_a_document_names_is_there(document: Path) -> None:
    code, targets = code_of(document), make_targets()
    assert set(re.findall(r"\bmake ([a-z][a-z-]*[a-z])(?![\w*-])", code)) <= targets
    families = re.findall(r"\bmake ([a-z-]+-)\*", code)  # make bench-*
    assert [name for name in families if not any(t.startswith(name) for t in targets)] == []


@documents
def test_every_management_command_that_a_document_names_is_there(document: Path) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", code_of(document)))
    assert named <= set(get_commands())


@documents
def test_every_module_that_a_document_runs_is_there(document: Path) -> None:
    named = re.findall(r"python -m ([a-z_.]+[a-z])", code_of(document))
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


@documents
def test_every_file_that_a_document_links_to_is_there(document: Path) -> None:
    links = re.findall(r"\]\((?!\w+:)([^)#\s]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@documents
def test_every_variable_that_a_document_names_is_read(document: Path) -> None:
    sources = [
        path.read_text()
        for folder in ("config", "labeling", "training", "tests", "bench")
        for path in (REPOSITORY / folder).rglob("*.py")
        if path != Path(__file__)
    ]
    named = set(re.findall(r"\bPREFLOOP_[A-Z_]+[A-Z]", document.read_text()))
    assert {name for name in named if not any(f'"{name}"' in text for text in sources)} == set()


def test_readme_names_commands_at_all() -> None:
    """Without this the tests above would pass on a README whose code they no longer find."""
    code = code_of(REPOSITORY / "README.md")
    for said in ("make demo", "make test", "manage.py createsuperuser", "python -m training."):
        assert said in code
