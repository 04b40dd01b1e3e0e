"""`manage.py register_model`."""

import io

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_project
from tests.training.factories import make_weights
from training.models import ModelVersion

pytestmark = pytest.mark.django_db


def test_it_registers_and_prints_name_and_hash():
    project, out = make_project(), io.StringIO()
    folder = make_weights()
    call_command(
        "register_model", project.slug, "judge", str(folder), "--kind", "reward", stdout=out
    )
    model = ModelVersion.objects.get()
    assert (model.kind, model.folder) == ("reward", folder)
    assert out.getvalue() == f"judge v1 {model.sha256}\n"


def test_it_says_what_is_wrong():
    project = make_project()
    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("register_model", "nowhere", "x", "folder")
    with pytest.raises(CommandError, match=r"no \.safetensors file"):
        call_command("register_model", project.slug, "x", str(make_weights().parent))
