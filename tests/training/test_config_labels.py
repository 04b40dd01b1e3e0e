"""The labels of the fields of every recipe."""

from training.config_labels import LABELS
from training.configs import RECIPES, field_specs


def test_every_field_has_a_label_and_every_label_a_field() -> None:
    assert set(LABELS) == {spec.name for recipe in RECIPES for spec in field_specs(recipe)}
