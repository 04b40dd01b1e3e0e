"""The rules about a run's health on real runs of tiny models: well ones, and one for each sickness.

Not here, but by hand in tests/training/test_health.py: a falling win rate (its judge is a run of
its own), replies that no longer end (the tiny policy has not yet learned to end them), a first
ratio that is not 1 (the recipe can't be brought to it).
"""

import copy
import random
import shutil
from collections.abc import Callable, Mapping
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from labeling.domain.agreement import Tally, pair_labels, strict_agreement
from tests.training.recipes.conftest import Chain, Rows, message, pairs, prepare, sentence
from tests.training.recipes.online import prepare_online
from training import rundir
from training.health import Health, health_of
from training.health_facts import Ceiling, Context, Observed, ceiling_of
from training.recipes import dpo, ppo, reward

pytestmark = [
    pytest.mark.recipe,
    # TRL asks by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]

ERROR = 0.25  # how often a simulated annotator turns a pair around
PPO = {"per_device_batch_size": 32, "batch_size": 32}
KNOWN = Context(replies_a_row=32, reach=log(1000), replaced_ends=True)


def _main(main: Callable[[list[str]], None], folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFLOOP_RUN_LOCK", "0")
        patch.setattr("signal.signal", lambda *_: None)
        main([str(folder)])
    return folder


def _health(folder: Path, context: Context) -> Health:
    """What the rules say of a run's folder."""
    series: dict[str, list[tuple[int, float]]] = {}
    for row in rundir.read_metrics_from(folder)[0]:
        for name, value in row.values.items():
            series.setdefault(name, []).append((row.step, value))
    result = rundir.read_result(folder)
    assert result is not None
    return health_of(Observed(series=series, measures=result["metrics"], context=context))


def _found(folder: Path, context: Context = KNOWN) -> list[str]:
    return [finding.rule for finding in _health(folder, context).findings]


def _ppo(
    folder: Path, chain: Chain, config: Mapping[str, Any], *, steps: int, **inputs: Any
) -> Path:
    whole = PPO | {"total_episodes": 32 * steps, **config}
    return _main(ppo.main, prepare_online(folder, chain, whole, **inputs))


def judged_twice(count: int, split: str, seed: int) -> tuple[Rows, Tally]:
    """Polite against rude replies, told apart by people who err, and how far two of them agree."""
    rng = random.Random(seed)
    rows, tally = [], Tally()
    for number in range(count):
        ends = (" please.", " no!")
        said = [[[0], [1]] if rng.random() > ERROR else [[1], [0]] for _ in range(2)]
        tally.add(*strict_agreement([pair_labels(tiers, 2) for tiers in said]))
        rows.append(
            {
                "prompt": [message("user", sentence(rng, 3))],
                "replies": [[message("assistant", sentence(rng, 3) + end)] for end in ends],
                "tiers": said[0],
                "strength": None,
                "weight": 1.0,
                "judgement": f"{split}{number}",
                "annotator": "ann",
                "split": split,
            }
        )
    return rows, tally


def _noisy(chain: Chain, folder: Path, *, leak: bool) -> tuple[Path, Context]:
    """A reward model learned by heart, measured on comparisons of its own, or those it learned."""
    learned, tally = judged_twice(60, "train", 1)
    held, _ = judged_twice(60, "validation", 2)
    if leak:
        held = [
            {**row, "split": "validation", "judgement": f"again {n}"}
            for n, row in enumerate(learned)
        ]
    share = tally.share()
    assert share is not None
    ceiling = Ceiling(
        value=ceiling_of(share.value), high=ceiling_of(share.high), agreement=share.value
    )
    config = {"max_steps": 40, "learning_rate": 5e-3, "per_device_batch_size": 15}
    prepare(folder, "reward", learned + held, config, model=chain.model("sft"))
    return _main(reward.main, folder), Context(ceiling=ceiling)


@pytest.fixture(scope="session")
def healthy(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """A run of reward, DPO and PPO each that learn as they should."""
    base = tmp_path_factory.mktemp("healthy")
    learn = {"max_steps": 24, "learning_rate": 5e-4}
    prepare(base / "dpo", "dpo", pairs(), learn, model=chain.model("sft"))
    gentle = {"learning_rate": 3e-4, "beta": 0.1}
    return {
        "reward": _noisy(chain, base / "reward", leak=False),
        "dpo": (_main(dpo.main, base / "dpo"), Context()),
        "ppo": (_ppo(base / "ppo", chain, gentle, steps=14), KNOWN),
    }


@pytest.mark.parametrize(("recipe", "looked"), [("reward", 2), ("dpo", 1), ("ppo", 8)])
def test_nothing_is_found_in_a_healthy_run(
    healthy: dict[str, tuple[Path, Any]], recipe: str, looked: int
) -> None:
    health = _health(*healthy[recipe])
    assert health.findings == ()
    assert len(health.checked) == looked


def test_replies_drawn_by_weights_that_stood_still(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an engine of its own draws that is never given the new weights."""
    made = ppo.roller_for

    def stale(*arguments: Any) -> Any:
        roller: Any = made(*arguments)
        roller._model = copy.deepcopy(roller._model)
        return roller

    monkeypatch.setattr(ppo, "roller_for", stale)
    assert _found(_ppo(tmp_path, chain, {}, steps=9)) == ["negative_kl"]


def test_policy_that_runs_from_what_the_reward_model_has_seen(chain: Chain, tmp_path: Path) -> None:
    config = {"learning_rate": 5e-3, "beta": 0.0, "missing_eos": "keep"}
    folder = _ppo(tmp_path, chain, config, steps=11)
    assert _found(folder, Context(replies_a_row=32, reach=log(100))) == ["kl_beyond_reward_model"]


def test_policy_whose_replies_become_one(chain: Chain, tmp_path: Path) -> None:
    """Its reward model is from outside, so nobody knows how far its scores reach."""
    config = {
        "learning_rate": 2e-2,
        "inner_epochs": 12,
        "clip": 1.0,
        "value_coefficient": 0.01,
        "beta": 0.0,
        "missing_eos": "keep",
    }
    folder = _ppo(tmp_path, chain, config, steps=12)
    assert _found(folder, Context(replies_a_row=32)) == ["entropy_collapse"]


def test_replies_that_shrink_because_a_missing_end_costs_much(chain: Chain, tmp_path: Path) -> None:
    config = {"learning_rate": 2e-3, "missing_eos_score": -8.0}
    health = _health(_ppo(tmp_path, chain, config, steps=18), KNOWN)
    (finding,) = health.findings
    assert finding.rule == "length_drift"
    assert finding.sentence.startswith("Replies shrank from 11.")  # the decimal is the processor's


def test_reward_model_with_an_empty_head(chain: Chain, tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    shutil.copytree(chain.model("reward"), judge)
    weights = load_file(judge / "model.safetensors")
    weights["score.weight"] = torch.zeros_like(weights["score.weight"])
    save_file(weights, judge / "model.safetensors", metadata={"format": "pt"})
    folder = _ppo(tmp_path / "run", chain, {"missing_eos_score": -9.0}, steps=6, reward=judge)
    assert _found(folder) == ["constant_rewards"]


def test_constant_above_what_complete_replies_get(chain: Chain, tmp_path: Path) -> None:
    folder = _ppo(tmp_path, chain, {"missing_eos_score": 50.0}, steps=6)
    assert _found(folder) == ["ending_does_not_pay"]


def test_reward_model_measured_on_what_it_learned(chain: Chain, tmp_path: Path) -> None:
    folder, context = _noisy(chain, tmp_path, leak=True)
    health = _health(folder, context)
    (finding,) = health.findings
    assert finding.rule == "accuracy_above_ceiling"


def test_dpo_that_does_not_move(chain: Chain, tmp_path: Path) -> None:
    config = {"max_steps": 22, "learning_rate": 1e-12}
    prepare(tmp_path, "dpo", pairs(), config, model=chain.model("sft"))
    assert _found(_main(dpo.main, tmp_path), Context()) == ["nothing_learned"]
