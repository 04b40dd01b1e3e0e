"""A judge through the product, with a real tiny model: asked by the task, learned from after."""

import json
import shutil
from pathlib import Path

import pytest

from labeling.models import Comparison, Judgement
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_project, owner_of
from tests.training.recipes.conftest import Chain
from training import tasks
from training.judges.selectors import bias_of
from training.judges.services import ask_judge, create_judge
from training.models import ModelVersion, TrainingRun
from training.services.models import register_model
from training.services.runs import create_run

pytestmark = [pytest.mark.recipe, pytest.mark.django_db(transaction=True)]


def test_a_tiny_models_soft_labels_reach_dpo(chain: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(chain.model("sft"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    project = make_project(validation_share=0.0, test_share=0.0, candidates_per_comparison=3)
    owner = owner_of(project)
    for _ in range(4):
        make_comparison(project, k=3)
    model = register_model(actor=owner, project=project, name="sft", folder=folder, kind="policy")
    judge = create_judge(
        actor=owner, project=project, name="tiny", model=model, preset_name="tiny-cpu"
    )
    run = ask_judge(actor=owner, project=project, judge=judge, which="queue")
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == TrainingRun.State.SUCCEEDED, (run.error, run.log_tail)
    assert run.judging.judgements_made == 4
    assert not ModelVersion.objects.filter(run=run).exists()
    assert set(Comparison.objects.values_list("state", flat=True)) == {"closed"}
    bias = bias_of(judge)
    assert bias is not None
    assert bias.pairs == 12
    pairs = [pair for one in Judgement.objects.all() for pair in one.provenance["pairs"]]
    assert bias.mean == pytest.approx(sum(pair["lean"] for pair in pairs) / 12)
    snapshot = freeze_snapshot(actor=owner, project=project, annotator_kinds=["ai"])
    learn = create_run(
        actor=owner,
        project=project,
        recipe="dpo",
        snapshot=snapshot,
        base_model=model,
        config={
            **{"device": "cpu", "threads": 1, "max_length": 128, "max_steps": 1},
            **{"per_device_batch_size": 4, "logging_steps": 1},
        },
    )
    tasks.train(learn.pk)
    learn.refresh_from_db()
    assert learn.state == TrainingRun.State.SUCCEEDED, (learn.error, learn.log_tail)
    told = learn.result["data"]
    assert told["train"] > 0
    assert "ignored_targets" not in told
