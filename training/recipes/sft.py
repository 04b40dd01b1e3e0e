"""Supervised fine-tuning: `python -m training.recipes.sft <run folder>`.

Learns the replies of demonstrations, from a model or from nothing (tokenizer included).
"""

from __future__ import annotations

import copy
from typing import cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig as TRLConfig
from trl.trainer.sft_trainer import SFTTrainer

from training import rundir
from training.configs import SFTConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Encoder, encode_demonstrations, tokenizer_texts
from training.recipes.fitting import conclude, fit, trainer_arguments
from training.recipes.grouping import GroupsByLength
from training.recipes.judging import judge_for
from training.recipes.loading import (
    give_template,
    load_policy,
    load_tokenizer,
    lora,
    new_policy,
    new_tokenizer,
)
from training.recipes.running import Run, StopSignal, logger, needed_model, open_run


class DemonstrationTrainer(GroupsByLength, SFTTrainer):
    """TRL's trainer, whose batches may hold texts of like length."""


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's demonstrations and leave a policy in `model/`."""
    run = open_run("sft", arguments)
    stop = StopSignal(run.folder)
    config = cast(SFTConfig, run.config)
    tokenizer = _tokenizer(run, config)
    encoder = Encoder(tokenizer, config.max_length)
    rows = encode_demonstrations(run.folder, encoder, completion_only=config.completion_only_loss)
    logger.info("data: %s", rows.report())
    model = _model(run, config, tokenizer)
    callback = RunCallback(run, stop, config.keep_checkpoints)
    reference = copy.deepcopy(model) if run.reward and not config.lora_r else None
    judge = judge_for(
        run, model, tokenizer, rows, reference=reference, chooses=config.choose_by_reward
    )
    trainer = DemonstrationTrainer(
        model=model,
        args=TRLConfig(**trainer_arguments(run, rows), packing=False),
        train_dataset=rows.dataset("train"),
        eval_dataset=rows.dataset("validation"),
        processing_class=tokenizer,
        callbacks=[callback, *([judge] if judge else [])],
        peft_config=lora(config),
    )
    fitted = fit(run, trainer, callback, judge)
    conclude(run, trainer, fitted, tokenizer=tokenizer, rows=rows, kind="policy", judge=judge)


def _tokenizer(run: Run, config: SFTConfig) -> PreTrainedTokenizerBase:
    if config.init == "base":
        tokenizer = load_tokenizer(needed_model(run))
        if config.lora_r and not tokenizer.chat_template:
            raise rundir.RunFolderError(
                f"The model in {run.model} has no chat template, and LoRA would not learn the "
                "marks of a new one: set lora_r to 0."
            )
        give_template(tokenizer)
        return tokenizer
    return new_tokenizer(tokenizer_texts(run.folder), config.vocab_size, config.max_positions)


def _model(run: Run, config: SFTConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    if config.init == "base":
        return load_policy(needed_model(run), tokenizer, config=config)
    model = new_policy(config, tokenizer)
    logger.info("from scratch: %s parameters, %s tokens", model.num_parameters(), len(tokenizer))
    return model


if __name__ == "__main__":
    main()
