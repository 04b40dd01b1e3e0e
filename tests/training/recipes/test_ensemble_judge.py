"""An ensemble judges by the mean of its members' scores, wherever a reward model judges."""

import shutil
from pathlib import Path
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.recipes.conftest import Chain, demonstrations
from training import rundir
from training.configs import PPOConfig
from training.recipes.actors import Actors
from training.recipes.data import Encoder, Ids
from training.recipes.loading import load_tokenizer
from training.recipes.scoring import load_judge

pytestmark = [
    pytest.mark.recipe,
    # PEFT asks by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ensemble(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain's reward model, and as a second member the same one with other weights."""
    folder = tmp_path_factory.mktemp("ensemble") / "model"
    shutil.copytree(chain.model("reward"), folder)
    other = folder / f"{rundir.MEMBER}1"
    shutil.copytree(chain.model("reward"), other)
    weights = load_file(other / "model.safetensors")
    generator = torch.Generator().manual_seed(9)
    for weight in weights.values():
        weight += 0.05 * torch.randn(weight.shape, generator=generator)
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    return folder


def _texts(chain: Chain) -> list[Ids]:
    encoder = Encoder(load_tokenizer(chain.model("sft")), 96)
    rows = demonstrations(6)
    exchanges = [encoder.exchange(row["prompt"], row["completion"]) for row in rows]
    return [head + tail for head, tail in exchanges]


def _alone(chain: Chain, folder: Path) -> list[float]:
    tokenizer = load_tokenizer(chain.model("sft"))
    return load_judge(folder, tokenizer, device=CPU, batch_size=8).score_ids(_texts(chain))


def test_judge_of_a_run_is_the_mean_of_all_members(
    chain: Chain, ensemble: Path, tmp_path: Path
) -> None:
    """RLOO, GRPO and the runs that are judged at evaluations load their judge like this."""
    second = tmp_path / "second"
    shutil.copytree(ensemble / f"{rundir.MEMBER}1", second)
    each = [_alone(chain, chain.model("reward")), _alone(chain, second)]
    means = [fmean(scores) for scores in zip(*each, strict=True)]
    assert _alone(chain, ensemble) == pytest.approx(means, abs=1e-6)
    assert each[0] != pytest.approx(each[1], abs=1e-3)


@pytest.mark.parametrize(
    "config",
    [PPOConfig(), PPOConfig(lora_r=2, share_value_trunk=True)],
    ids=["critic of its own", "shared trunk"],
)
def test_ppo_is_judged_by_all_members_and_learns_in_none(
    chain: Chain, ensemble: Path, config: PPOConfig
) -> None:
    actors = Actors(config, chain.model("sft"), ensemble, CPU, seed=1)
    before = actors.score(_texts(chain))
    assert before == pytest.approx(_alone(chain, ensemble), abs=1e-5)
    with torch.no_grad():
        for weight in actors.critic.parameters():
            if weight.requires_grad:
                weight.add_(0.1)
    assert actors.score(_texts(chain)) == before
