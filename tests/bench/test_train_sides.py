"""Both sides of bench.train learn from the same rows in the same order."""

import importlib
from pathlib import Path

import pytest

from bench import train_baseline, train_side
from bench.train_cases import WORDS, Case, Shape, rows_of
from bench.train_race import Options, baseline_job, own_job
from training import rundir
from training.recipes.data import Encoder
from training.recipes.loading import load_tokenizer

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 asks by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
SHAPE = Shape(max_positions=128, hidden_size=32, layers=2, heads=2, intermediate_size=64)
OPTIONS = Options(device="cpu", threads=1, repeats=1, shape=SHAPE)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models that both sides begin with."""
    folder = tmp_path_factory.mktemp("race")
    order = {"folder": str(folder / "models"), "texts": [" ".join(WORDS)] * 8, "vocab_size": 640}
    train_side.make_models(order | {"shape": vars(SHAPE)})
    return folder


def _own_losses(folder: Path) -> list[float]:
    rows = [row.values for row in rundir.read_metrics_from(folder)[0]]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("recipe", ["dpo", "sft"])
def test_both_sides_log_the_same_losses(recipe: str, base: Path, in_process: None) -> None:
    """Other rows, another order or other marks would show at once; ours shares the prompts."""
    case = Case(name=recipe, recipe=recipe, rows=32, batch=8, prompt=20, reply=6)
    rows = rows_of(case)
    own, baseline = base / "own" / recipe, base / "baseline" / recipe
    own_job(own, case, rows, 3, OPTIONS)
    order = train_side.order_of({"folder": str(own)})["order"]
    assert sorted(order) == list(range(32)) != order
    baseline_job(baseline, case, rows, 3, OPTIONS, order=order, logging_steps=1)
    importlib.import_module(f"training.recipes.{recipe}").main([str(own)])
    trainer = train_baseline.main(baseline)
    told = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(told) == 4
    assert len(set(told)) == 4
    assert _own_losses(own) == pytest.approx(told, abs=2e-5)


def test_trl_reads_the_ids_of_our_rankings(base: Path) -> None:
    case = Case(
        name="ranked", recipe="reward", rows=4, batch=2, prompt=9, reply=6, replies=3, held=1
    )
    rows = rows_of(case)
    folder = base / "baseline" / "reward"
    baseline_job(folder, case, rows, 3, OPTIONS)
    job = rundir.read_json(folder / "job.json")
    read = train_baseline.trainer_of(job, folder).train_dataset
    assert len(read) == 4 * 3
    encoder = Encoder(load_tokenizer(base / "models" / "judge"), SHAPE.max_positions)
    best, second = (rows[0]["replies"][tier[0]] for tier in rows[0]["tiers"][:2])
    texts = [encoder.exchange(rows[0]["prompt"], reply) for reply in (best, second)]
    ours = [prompt + reply for prompt, reply in texts]
    assert [read[0]["chosen_ids"], read[0]["rejected_ids"]] == ours
    assert read[0]["length"] == max(map(len, ours))
