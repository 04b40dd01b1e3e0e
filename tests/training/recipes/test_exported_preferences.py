"""The exported preference file is read by `datasets` and taken by a bare TRL trainer, as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labeling.models import Export
from labeling.services.exports import rows_of, write_file
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_project, owner_of
from tests.labeling.services.test_imports import take
from tests.training.recipes.conftest import Chain

pytestmark = [pytest.mark.django_db, pytest.mark.recipe]

# Nothing of the project is imported here: this is what somebody else would write.
BARE_SCRIPT = """
import sys
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

kind, path, model, out = sys.argv[1:]
rows = load_dataset(kind, data_files=path, split="train", cache_dir=out)
trainer = DPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(model),
    args=DPOConfig(output_dir=out, max_steps=1, per_device_train_batch_size=4, report_to=[],
                   use_cpu=True, max_length=64, disable_tqdm=True),
    train_dataset=rows,
    processing_class=AutoTokenizer.from_pretrained(model),
)
loss = trainer.train().training_loss
print("rows", len(rows), "loss", round(loss, 4))
"""


@pytest.mark.parametrize(("container", "kind"), [("jsonl", "json"), ("parquet", "parquet")])
def test_exported_preferences_train_a_bare_dpo_trainer(
    chain: Chain, tmp_path: Path, container: str, kind: str
) -> None:
    """Three rankings of 3 give 9 pairs; at the start policy = reference, so the loss is log 2."""
    project = make_project()
    ranked = [
        {"text": f"{word} please.", "rank": rank}
        for rank, word in enumerate(("cat", "dog", "bird"))
    ]
    rows = [
        {"prompt": f"{word} tree", "ranked_responses": ranked} for word in ("red", "big", "kind")
    ]
    take(project, rows)
    snapshot = freeze_snapshot(actor=owner_of(project), project=project)
    path = tmp_path / f"preferences.{container}"
    write_file(path, rows_of(snapshot, Export.Format.TRL_PREFERENCE), container)
    done = subprocess.run(
        [sys.executable, "-c", BARE_SCRIPT, kind, path, chain.sft / "model", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rows 9 loss 0.6931" in done.stdout
