"""The registry: weights move whole, versions count up, sharing is explicit."""

import tempfile
from pathlib import Path

import pytest

from labeling.exceptions import InvalidInput
from tests.factories import make_project, owner_of
from tests.training.factories import make_model, make_run, make_weights
from training import rundir
from training.exceptions import ModelMissing
from training.selectors import is_usable
from training.services.models import register_model, share_model, take_weights

pytestmark = pytest.mark.django_db


def test_register_model_counts_versions_up_under_a_name():
    project = make_project()
    models = [make_model(project, name=name) for name in ("a", "a", "b")]
    assert [str(model) for model in models] == ["a v1", "a v2", "b v1"]
    assert models[0].sha256 == rundir.weights_sha256(models[0].folder)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (Path("relative"), "absolute path"),
        (Path("/nowhere/at/all"), "no folder"),
    ],
)
def test_register_model_says_what_is_wrong_with_the_folder(folder: Path, said: str):
    project = make_project()
    with pytest.raises(InvalidInput) as error:
        register_model(
            actor=owner_of(project), project=project, name="", folder=folder, kind="oracle"
        )
    assert set(error.value.errors) == {"name", "kind", "folder"}
    assert said in error.value.errors["folder"][0]


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "tokenizer.json"])
def test_register_model_names_the_file_that_lacks(missing: str):
    project, folder = make_project(), make_weights()
    (folder / missing).unlink()
    with pytest.raises(InvalidInput) as error:
        register_model(
            actor=owner_of(project), project=project, name="x", folder=folder, kind="policy"
        )
    assert missing.removeprefix("model") in error.value.errors["folder"][0]


def test_take_weights_twice_comes_to_the_same():
    run = make_run(make_project())
    made = run.folder / rundir.MODEL
    made.parent.mkdir(parents=True)
    make_weights().rename(made)
    sha256 = rundir.weights_sha256(made)
    path = take_weights(run=run, sha256=sha256)
    assert not made.exists()
    assert take_weights(run=run, sha256=sha256) == path


def test_take_weights_refuses_other_weights_and_none():
    run = make_run(make_project())
    with pytest.raises(ModelMissing, match="is missing"):
        take_weights(run=run, sha256="0" * 64)
    run.folder.mkdir(parents=True)
    make_weights().rename(run.folder / rundir.MODEL)
    with pytest.raises(ModelMissing, match="the recipe said 000"):
        take_weights(run=run, sha256="0" * 64)


def test_weights_are_copied_whole_to_another_file_system(settings, tmp_path):
    memory = Path("/dev/shm")  # noqa: S108 - a file system of its own, where there is one
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two file systems: /dev/shm and the folder of the tests")
    run = make_run(make_project())
    run.folder.mkdir(parents=True)
    made = run.folder / rundir.MODEL
    make_weights().rename(made)
    sha256 = rundir.weights_sha256(made)
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        settings.MODEL_DIR = Path(folder)
        take_weights(run=run, sha256=sha256)
        assert [path.name for path in Path(folder).iterdir()] == [str(run.uid)]


def test_share_model_lets_another_project_use_it():
    project, other = make_project(), make_project()
    model = make_model(project)
    assert not is_usable(other, model)
    share_model(actor=owner_of(project), model=model, project=other)
    assert is_usable(other, model)
    with pytest.raises(InvalidInput):
        share_model(actor=owner_of(project), model=model, project=project)
