"""Direct preference optimization: `python -m training.recipes.dpo <run folder>`.

TRL's DPOTrainer: loss = -log sigmoid(beta * (log pi/ref (chosen) - log pi/ref (rejected))), summed
over the reply's tokens (2305.18290, eq. 7). The reference is the model the run starts from.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

from accelerate import PartialState
from datasets import Dataset, load_from_disk
from trl.trainer.dpo_config import DPOConfig as TRLConfig
from trl.trainer.dpo_trainer import DPOTrainer

from training import rundir
from training.configs import DPOConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Encoder, encode_pairs
from training.recipes.fitting import conclude, fit, trainer_arguments
from training.recipes.loading import load_policy, load_tokenizer, lora, need_template
from training.recipes.running import StopSignal, logger, needed_model, open_run


class PairTrainer(DPOTrainer):
    """TRL's trainer on pairs that are already token ids.

    TRL encodes prompt and reply together, cuts where tokens merge across the boundary and drops
    rows without a count; its other two trainers take ready ids, this one has no switch for it.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's pairs and leave a policy in `model/`."""
    run = open_run("dpo", arguments)
    stop = StopSignal(run.folder)
    config = cast(DPOConfig, run.config)
    base = needed_model(run)
    tokenizer = load_tokenizer(base)
    need_template(tokenizer, base)
    rows = encode_pairs(run.folder, Encoder(tokenizer, config.max_length))
    logger.info("data: %s", rows.report())
    train, validation = rows.dataset("train"), rows.dataset("validation")
    if config.precompute_ref_log_probs:
        train = _on_disk(train, run.folder / rundir.CACHE / "train")
        validation = _on_disk(validation, run.folder / rundir.CACHE / "validation")
    policy = load_policy(base, tokenizer)
    frozen = not config.precompute_ref_log_probs and not config.lora_r
    callback = RunCallback(run, stop, config.keep_checkpoints)
    trainer = PairTrainer(
        model=policy,
        ref_model=copy.deepcopy(policy) if frozen else None,
        args=TRLConfig(
            **trainer_arguments(run, rows),
            beta=config.beta,
            loss_type=[config.loss_type],
            label_smoothing=config.label_smoothing,
            precompute_ref_log_probs=config.precompute_ref_log_probs,
        ),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=lora(config),
    )
    fitted = fit(run, trainer, callback)
    conclude(run, trainer, fitted, tokenizer=tokenizer, rows=rows, kind="policy")


def _on_disk(dataset: Dataset | None, folder: Path) -> Dataset | None:
    """The same rows from a folder of the run, where all processes find what the reference said."""
    if dataset is None:
        return None
    with PartialState().main_process_first():
        if not (folder / "state.json").exists():
            dataset.save_to_disk(folder)
    return load_from_disk(folder)


if __name__ == "__main__":
    main()
