"""Direct preference optimization: `python -m training.recipes.dpo <run folder>`.

TRL's DPOTrainer: loss = -log sigmoid(beta * (log pi/ref (chosen) - log pi/ref (rejected))), summed
over the reply's tokens (2305.18290, eq. 7). The reference is the model the run starts from.
"""

from __future__ import annotations

import copy
from typing import Any, cast

from trl.trainer.dpo_config import DPOConfig as TRLConfig

from training import rundir
from training.configs import DPOConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Encoder, Splits, encode_pairs
from training.recipes.dpo_trainer import PairCollator, PairTrainer, SoftCollator, SoftPairTrainer
from training.recipes.fitting import conclude, fit, trainer_arguments
from training.recipes.judging import judge_for
from training.recipes.loading import load_policy, load_tokenizer, lora, need_template
from training.recipes.pairing import best_versus_random
from training.recipes.reference import keep, reference_key
from training.recipes.running import Run, StopSignal, logger, needed_model, open_run
from training.recipes.shared_prefix import costs_of, sharing


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's pairs and leave a policy in `model/`."""
    run = open_run("dpo", arguments)
    stop = StopSignal(run.folder)
    config = cast(DPOConfig, run.config)
    base = needed_model(run)
    tokenizer = load_tokenizer(base)
    need_template(tokenizer, base)
    rows = _pairs(run, config, Encoder(tokenizer, config.max_length))
    soft = _is_soft(config, rows)
    train, validation = rows.dataset("train"), rows.dataset("validation")
    if config.precompute_ref_log_probs:
        key = reference_key(rundir.weights_sha256(base), tokenizer, config, rows)
        train = keep(train, run.folder, key, "train")
        validation = keep(validation, run.folder, key, "validation")
    policy = load_policy(base, tokenizer, config=config)
    frozen = not config.precompute_ref_log_probs and not config.lora_r
    reference = copy.deepcopy(policy) if frozen or (run.reward and not config.lora_r) else None
    callback = RunCallback(run, stop, config.keep_checkpoints)
    judge = judge_for(run, policy, tokenizer, rows, reference=reference)
    collator = (SoftCollator if soft else PairCollator)(
        int(tokenizer.pad_token_id),
        max_length=config.max_length,
        shared=sharing(config.shared_prefix, policy),
        costs=costs_of(policy),
    )
    trainer = (SoftPairTrainer if soft else PairTrainer)(
        model=policy,
        ref_model=reference if frozen else None,
        args=TRLConfig(**trainer_arguments(run, rows), **_loss(config, soft=soft)),
        data_collator=collator,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        callbacks=[callback, *([judge] if judge else [])],
        peft_config=lora(config),
    )
    fitted = fit(run, trainer, callback, judge)
    conclude(run, trainer, fitted, tokenizer=tokenizer, rows=rows, kind="policy", judge=judge)


def _pairs(run: Run, config: DPOConfig, encoder: Encoder) -> Splits:
    rows = encode_pairs(run.folder, encoder, soft=config.loss_type == "sigmoid")
    if config.pairing == "best_vs_random":
        rows = best_versus_random(rows, run.seed)
    logger.info("data: %s", rows.report())
    return rows


def _is_soft(config: DPOConfig, rows: Splits) -> bool:
    """Whether the loss is the one with soft labels: asked for, or there in the rows."""
    if config.loss_type != "sigmoid":
        return False
    pairs = (pair for split in rows.splits.values() for pair in split)
    return bool(config.label_smoothing) or any(
        pair["target"] != 1 or pair["weight"] != 1 for pair in pairs
    )


def _loss(config: DPOConfig, *, soft: bool) -> dict[str, Any]:
    """TRL's arguments for the loss; with soft labels TRL's own `sigmoid` counts nothing."""
    types, weights = [config.loss_type], [0.0 if soft else 1.0]
    if config.sft_weight:
        types, weights = [*types, "sft"], [*weights, config.sft_weight]
    return {
        "beta": config.beta,
        "loss_type": types,
        "loss_weights": weights,
        "label_smoothing": config.label_smoothing,
        "precompute_ref_log_probs": config.precompute_ref_log_probs,
    }


if __name__ == "__main__":
    main()
