"""Fixtures of the recipes' tests that the bench's need too."""

from tests.training.recipes.conftest import in_process as in_process
