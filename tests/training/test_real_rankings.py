"""Rankings that people made, through the whole path: file, snapshot, reward model, report."""

import json
from pathlib import Path

import pytest

from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_project, owner_of
from tests.labeling.services.test_imports import take_file
from training.configs import SFTConfig
from training.models import ModelVersion
from training.services.models import register_model
from training.services.runs import create_run
from training.tasks import train

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.recipe,
    pytest.mark.shared_data,
]
LONGEST = 1024


def _tiny_policy(rankings: Path, folder: Path) -> Path:
    """Random weights, and a tokenizer that has read the file."""
    from training.recipes.loading import new_policy, new_tokenizer, save_model

    rows = [json.loads(line) for line in rankings.read_text().splitlines()]
    texts = (reply["text"] for row in rows for reply in row["ranked_responses"])
    tokenizer = new_tokenizer(texts, 1024, LONGEST)
    shape = SFTConfig(
        init="scratch",
        hidden_size=32,
        layers=2,
        heads=2,
        kv_heads=1,
        intermediate_size=64,
        max_positions=LONGEST,
        max_length=LONGEST,
    )
    save_model(new_policy(shape, tokenizer), tokenizer, folder)
    return folder


def test_real_rankings_train_a_reward_model_and_are_reported_on(
    shared_data: Path, tmp_path: Path
) -> None:
    """The model is too small to learn anything; what is tested is that nothing is lost."""
    project = make_project(validation_share=0.2, test_share=0.2)
    owner = owner_of(project)
    assert take_file(project, shared_data / "oasst_rankings.jsonl").report["judgements"] == 212
    snapshot = freeze_snapshot(actor=owner, project=project, kind="preferences")
    folder = _tiny_policy(shared_data / "oasst_rankings.jsonl", tmp_path / "tiny")
    base = register_model(actor=owner, project=project, name="tiny", folder=folder, kind="policy")
    config = {
        "device": "cpu",
        "threads": 1,
        "max_length": LONGEST,
        "max_steps": 2,
        "per_device_batch_size": 4,
        "learning_rate": 1e-3,
    }
    run = create_run(
        actor=owner,
        project=project,
        recipe="reward",
        snapshot=snapshot,
        base_model=base,
        config=config,
    )
    train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded", run.log_tail
    data = run.result["data"]
    used = data["train"] + data["validation"] + data["test"]
    assert data["rows"] == 212 == used + sum(data["dropped"].values())
    assert used > 180
    for split in ("validation", "test"):
        said = run.result["report"][split]
        assert 0 <= said["low"] < said["accuracy"] < said["high"] <= 1
        assert said["comparisons"] == data[split]
        assert sum(part["pairs"] for part in said["by_gap"].values()) == said["pairs"]
    made = ModelVersion.objects.get(run=run)
    assert (made.kind, made.parent) == ("reward", base)
    assert made.provenance["snapshot"]["sha256"] == snapshot.sha256
