"""The config's numbers as TRL gets them."""

from pathlib import Path

import pytest
import torch
from transformers import get_scheduler
from trl.trainer.sft_config import SFTConfig as TRLConfig

from tests.training.recipes.conftest import demonstrations, prepare
from training.configs import LR_SCHEDULES, PRESETS, parse_config, preset
from training.recipes.data import Splits
from training.recipes.fitting import trainer_arguments
from training.recipes.running import Run, open_run

pytestmark = pytest.mark.recipe


def _run(folder: Path, **changes: object) -> Run:
    prepare(folder, "sft", demonstrations(), changes)
    return open_run("sft", [str(folder)])


@pytest.mark.parametrize("schedule", LR_SCHEDULES)
def test_schedule_ends_where_the_config_says(
    tmp_path: Path, in_process: None, schedule: str
) -> None:
    """Of 10 steps 2 warm up; the rate then falls to 0, to a tenth, or stays."""
    run = _run(tmp_path, lr_schedule=schedule, warmup_ratio=0.2, learning_rate=1e-3)
    arguments = TRLConfig(**trainer_arguments(run, Splits()))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=arguments.learning_rate)
    scheduler = get_scheduler(
        arguments.lr_scheduler_type,
        optimizer,
        num_warmup_steps=arguments.get_warmup_steps(10),
        num_training_steps=10,
        scheduler_specific_kwargs=arguments.lr_scheduler_kwargs,
    )
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ends = {"linear": 0.0, "cosine": 0.0, "cosine_with_min_lr": 1e-4, "constant": 1e-3}
    assert rates[0] < 1e-3
    assert rates[2] == pytest.approx(1e-3)
    assert rates[10] == pytest.approx(ends[schedule], abs=1e-9)


def test_trl_gets_what_the_config_says(tmp_path: Path, in_process: None) -> None:
    config = {"precision": "bf16", "gradient_checkpointing": True, "max_steps": 7, "eval_steps": 3}
    arguments = TRLConfig(**trainer_arguments(_run(tmp_path, **config), Splits()))
    assert (arguments.bf16, arguments.activation_checkpointing, arguments.max_steps) == (
        True,
        True,
        7,
    )
    assert arguments.eval_strategy == "no"  # there are no validation rows
    assert arguments.report_to == []


def test_trls_own_defaults_do_not_leak_in(tmp_path: Path, in_process: None) -> None:
    arguments = TRLConfig(**trainer_arguments(_run(tmp_path), Splits()))
    assert (arguments.bf16, arguments.activation_checkpointing) == (False, False)
    assert (arguments.logging_steps, arguments.max_length) == (1, 96)


@pytest.mark.parametrize("name", sorted(PRESETS["sft"]))
def test_trl_takes_every_preset(tmp_path: Path, in_process: None, name: str) -> None:
    config = {**PRESETS["sft"][name], "device": "cpu"}
    assert parse_config("sft", config) is not None
    assert (
        TRLConfig(**trainer_arguments(_run(tmp_path, **config), Splits())).learning_rate
        == (vars(preset("sft", name))["learning_rate"])
    )
