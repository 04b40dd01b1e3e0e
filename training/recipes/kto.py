"""Kahneman-Tversky optimization: `python -m training.recipes.kto <run folder>`.

TRL's KTOTrainer (2402.01306): a reply counts by itself, as a gain or as a loss against the mean KL
to the reference, which is the model the run starts from.
"""

from __future__ import annotations

import copy
from collections import Counter
from random import Random
from typing import Any, cast

from datasets import Dataset
from trl.trainer.kto_config import KTOConfig as TRLConfig
from trl.trainer.kto_trainer import KTOTrainer

from training.configs import KTOConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Encoder, Splits, encode_pairs
from training.recipes.fitting import conclude, fit, trainer_arguments
from training.recipes.judging import judge_for
from training.recipes.loading import load_policy, load_tokenizer, lora, need_template
from training.recipes.running import StopSignal, logger, needed_model, open_run

_Trainer: Any = KTOTrainer  # TRL's methods have no types


class ReplyTrainer(_Trainer):  # type: ignore[misc]
    """TRL's trainer on replies that are already token ids."""

    def _prepare_dataset(self, dataset: Dataset, _: Any, args: TRLConfig, *__: Any) -> Dataset:
        """Each prompt of a batch with its neighbour's reply, by which TRL estimates the KL."""
        if not self.calculate_KL:
            return dataset

        def rotated(batch: dict[str, Any]) -> dict[str, Any]:
            replies = batch["completion_ids"]
            return {"KL_completion_ids": [replies[-1], *replies[:-1]]}

        size = args.per_device_train_batch_size
        return dataset.map(rotated, batched=True, batch_size=size)


def main(arguments: list[str] | None = None) -> None:
    """Train on the replies of the run's pairs and leave a policy in `model/`."""
    run = open_run("kto", arguments)
    stop = StopSignal(run.folder)
    config = cast(KTOConfig, run.config)
    base = needed_model(run)
    tokenizer = load_tokenizer(base)
    need_template(tokenizer, base)
    rows = unpaired(encode_pairs(run.folder, Encoder(tokenizer, config.max_length)), run.seed)
    logger.info("data: %s", rows.report())
    policy = load_policy(base, tokenizer, config=config)
    reference = None if config.lora_r else copy.deepcopy(policy)
    callback = RunCallback(run, stop, config.keep_checkpoints)
    judge = judge_for(run, policy, tokenizer, rows, reference=reference)
    trainer = ReplyTrainer(
        model=policy,
        ref_model=reference,
        args=TRLConfig(
            **trainer_arguments(run, rows),
            beta=config.beta,
            loss_type=config.loss_type,
            desirable_weight=config.desirable_weight,
            undesirable_weight=config.undesirable_weight,
        ),
        train_dataset=rows.dataset("train"),
        eval_dataset=rows.dataset("validation"),
        processing_class=tokenizer,
        callbacks=[callback, *([judge] if judge else [])],
        peft_config=lora(config),
    )
    fitted = fit(run, trainer, callback, judge)
    conclude(run, trainer, fitted, tokenizer=tokenizer, rows=rows, kind="policy", judge=judge)


def unpaired(rows: Splits, seed: int) -> Splits:
    """Each reply of each judgement once, good if it won more of its pairs than it lost.

    A reply that won as many as it lost is neither; `undecided` counts them. The order is drawn by
    the seed here, because TRL must read the rows in order to estimate the KL.
    """
    for split, pairs in rows.splits.items():
        replies: dict[Any, dict[str, Any]] = {}
        won: Counter[Any] = Counter()
        for pair in pairs:
            for name, gain in (("chosen_ids", 1), ("rejected_ids", -1)):
                key = (pair["judgement"], tuple(pair["prompt_ids"]), tuple(pair[name]))
                won[key] += gain
                replies[key] = {"prompt_ids": pair["prompt_ids"], "completion_ids": pair[name]}
        decided = [{**row, "label": won[key] > 0} for key, row in replies.items() if won[key]]
        rows.notes["undecided"] += len(replies) - len(decided)
        Random(f"{seed} {split}").shuffle(decided)  # noqa: S311 - repeatable, nothing secret
        rows.splits[split] = decided
    return rows


if __name__ == "__main__":
    main()
