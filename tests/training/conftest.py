"""Folders of their own for every test of training."""

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def run_folders(settings: Settings, tmp_path: Path) -> Path:
    """Keep the runs' folders and the models of a test under its own folder."""
    settings.RUN_DIR = tmp_path / "runs"
    settings.MODEL_DIR = tmp_path / "models"
    return tmp_path
