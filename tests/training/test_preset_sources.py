"""Every preset says where its numbers are from."""

from training.configs import PRESETS
from training.preset_sources import SOURCES, source_of


def test_every_preset_has_a_source_and_every_source_a_preset() -> None:
    assert {r: set(names) for r, names in SOURCES.items()} == {
        r: set(names) for r, names in PRESETS.items()
    }


def test_a_source_is_a_sentence_and_an_unknown_preset_has_none() -> None:
    for names in SOURCES.values():
        assert all(text.endswith(".") for text in names.values())
    assert source_of("dpo", "no such") == ""
