"""`manage.py seed_demo`: the whole demo, with ten-line recipes in place of the real ones."""

import io
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from labeling.models import Comparison, Demonstration, Project, User
from labeling.selectors.projects import own_projects
from labeling.selectors.prompts import select_prompts
from tests.training.factories import SAMPLES, STEPS
from training import launcher
from training.models import ModelVersion, TrainingRun
from training.services.sampling import create_sampling_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Seed the demo inline and return what it said."""
    for name, script in {"sft": STEPS, "sample": SAMPLES}.items():
        text = script.replace("PAUSE", "0.4").replace("DISTINCT", "4")
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(
        launcher,
        "_command",
        lambda folder, recipe, _: [sys.executable, str(tmp_path / f"{recipe}.py"), str(folder)],
    )
    return seed()


def seed() -> str:
    said = io.StringIO()
    call_command("seed_demo", inline=True, stdout=said)
    return said.getvalue()


def test_demo_keeps_the_pretraining_corpus_from_annotators_and_samplers(seeded: str) -> None:
    demo = Project.objects.get(slug="demo")
    corpus = Project.objects.get(slug="demo-pretraining")
    assert Demonstration.objects.filter(prompt__project=corpus).count() > 1000
    # Sampled without a tag, every prompt of the demo project may be drawn: all are of the world.
    drawn = select_prompts(demo)
    assert len(drawn) > 100
    assert {prompt.tags.filter(name="world").count() for prompt in drawn} == {1}
    policy = ModelVersion.objects.get(project=demo, name="demo-policy")
    run = create_sampling_run(actor=None, project=demo, model=policy, preset_name="tiny-cpu")
    assert run.sampling.prompt_ids == [prompt.pk for prompt in drawn]
    # The model that was pre-trained is shared, and its project is nobody's but the owner's.
    assert str(policy.parent) == "demo-pretrained v1"
    assert list(policy.parent.shared_with.all()) == [demo]
    for name in ("annotator", "manager", "viewer"):
        projects = [own.project for own in own_projects(User.objects.get(username=name))]
        assert projects == [demo]
    assert not Comparison.objects.filter(project=corpus).exists()

    before = (TrainingRun.objects.count(), Comparison.objects.count())
    again = seed()
    assert "Training" not in again
    assert (TrainingRun.objects.count(), Comparison.objects.count()) == before

    told = [line.split(": ")[1] for line in seeded.splitlines() if "Training demo-policy:" in line]
    shares = [int(text.removesuffix(" %")) for text in told if text.endswith(" %")]
    assert any(0 < share < 100 for share in shares)
    assert shares == sorted(set(shares))
    assert told[-1].startswith("done in")
