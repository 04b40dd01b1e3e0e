"""Every sentence of the sources is translated, and the compiled catalogue says the same.

`make messages` brings both files up to date; what is new in them is then to be translated.
"""

import re
import string

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from tests.locale.sources import REPOSITORY, Key, sentences

FOLDER = REPOSITORY / "locale" / "zh_Hans" / "LC_MESSAGES"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_PERCENT = re.compile(r"%\(\w+\)[a-z]")
WITHOUT_CHINESE = {
    *("API", "LoRA", "%(recipe)s %(number)s"),
    *("Adam beta1", "Adam beta2", "Beta", "Lora alpha", "Lora dropout", "Top k", "Top p", "Top-p"),
}
_TAG = re.compile(r"</?\w+>")


def _of(catalogue: Catalog) -> dict[Key, Message]:
    return {(m.context, _texts(m.id)[0]): m for m in catalogue if m.id}


def _compiled() -> dict[Key, Message]:
    with (FOLDER / "django.mo").open("rb") as file:
        found = _of(read_mo(file))
    # Babel leaves the contexts of a compiled catalogue as bytes.
    return {
        (c.decode() if isinstance(c, bytes) else c, msgid): m for (c, msgid), m in found.items()
    }


def _texts(text: object) -> tuple[str, ...]:
    """Return one text, or those of a plural."""
    return tuple(text) if isinstance(text, list | tuple) else (str(text),)


@pytest.fixture(scope="module")
def written() -> dict[Key, Message]:
    """Return the catalogue that people write."""
    with (FOLDER / "django.po").open("rb") as file:
        return _of(read_po(file, abort_invalid=True))


def test_every_sentence_of_the_sources_is_in_the_catalogue(written: dict[Key, Message]) -> None:
    found = sentences()
    assert len(found) > 900  # else the search itself is broken
    missing = {key: place for key, (_, place) in found.items() if key not in written}
    assert missing == {}


def test_the_catalogue_holds_nothing_else(written: dict[Key, Message]) -> None:
    assert set(written) - set(sentences()) == set()


def test_plurals_are_the_same_in_sources_and_catalogue(written: dict[Key, Message]) -> None:
    for key, (plural, place) in sentences().items():
        assert _texts(written[key].id)[1:] == ((plural,) if plural else ()), place


def test_every_sentence_is_translated_and_none_is_a_guess(written: dict[Key, Message]) -> None:
    for key, message in written.items():
        texts = _texts(message.string)
        assert len(texts) == 1, key  # Chinese has one form
        assert texts[0].strip(), key
        assert not message.fuzzy, key
        assert _CHINESE.search(texts[0]) or key[1] in WITHOUT_CHINESE, key


def _placeholders(text: str) -> set[str]:
    named = {f"{{{name}}}" for _, name, _, _ in string.Formatter().parse(text) if name}
    return named | set(_PERCENT.findall(text)) | set(_TAG.findall(text))


def test_placeholders_and_tags_are_kept(written: dict[Key, Message]) -> None:
    for key, message in written.items():
        wanted = _placeholders(_texts(message.id)[-1])
        assert _placeholders(_texts(message.string)[0]) == wanted, key


def test_the_compiled_catalogue_says_what_the_written_one_says(
    written: dict[Key, Message],
) -> None:
    compiled = _compiled()
    assert set(compiled) == set(written), "run `make messages`"
    for key, message in compiled.items():
        assert _texts(message.string) == _texts(written[key].string), f"run `make messages`: {key}"
