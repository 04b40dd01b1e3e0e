"""A reward model from pairs: `python -m training.recipes.reward <run folder>`.

TRL's RewardTrainer: loss = -log sigmoid(r(x, chosen) - r(x, rejected) - margin), the Bradley-Terry
likelihood (InstructGPT, 2203.02155, eq. 1, with one pair a row; the margin is Llama 2's).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from trl.trainer.reward_config import RewardConfig as TRLConfig
from trl.trainer.reward_trainer import RewardTrainer

from training.configs import RewardConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Encoder, Splits, encode_pairs
from training.recipes.fitting import conclude, fit, trainer_arguments
from training.recipes.loading import load_reward_model, load_tokenizer, lora, need_template
from training.recipes.running import StopSignal, logger, needed_model, open_run
from training.recipes.scoring import Scorer


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's pairs and leave a reward model in `model/`."""
    run = open_run("reward", arguments)
    stop = StopSignal(run.folder)
    config = cast(RewardConfig, run.config)
    base = needed_model(run)
    tokenizer = load_tokenizer(base)
    need_template(tokenizer, base)
    rows = _join_replies(encode_pairs(run.folder, Encoder(tokenizer, config.max_length)), config)
    logger.info("data: %s", rows.report())
    callback = RunCallback(run, stop, config.keep_checkpoints)
    trainer = RewardTrainer(
        model=load_reward_model(base, tokenizer, seed=run.seed),
        args=TRLConfig(
            **trainer_arguments(run, rows),
            center_rewards_coefficient=config.center_rewards_coefficient or None,
        ),
        train_dataset=rows.dataset("train"),
        eval_dataset=rows.dataset("validation"),
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=lora(config, head="score"),
    )
    fitted = fit(run, trainer, callback)

    def measure(model: Any) -> Mapping[str, float]:
        return _accuracies(Scorer(model, tokenizer, config.per_device_batch_size), rows)

    conclude(run, trainer, fitted, tokenizer=tokenizer, rows=rows, kind="reward", measure=measure)


def _join_replies(rows: Splits, config: RewardConfig) -> Splits:
    """Prompt and reply in one sequence, as TRL wants them, with a margin where one is asked for."""
    for split in rows.splits.values():
        for row in split:
            prompt = row.pop("prompt_ids")
            row["chosen_ids"] = prompt + row["chosen_ids"]
            row["rejected_ids"] = prompt + row["rejected_ids"]
            margin = row.pop("margin")
            if config.margin == "rank_gap":
                row["margin"] = margin * config.margin_scale
    return rows


def _accuracies(scorer: Scorer, rows: Splits) -> dict[str, float]:
    """Share of held-out pairs whose chosen reply scores higher, and the mean difference.

    Over all pairs at once: the Trainer's own figure is a mean of batches, of which the last is
    smaller. Equal scores count half.
    """
    metrics: dict[str, float] = {}
    for split in ("validation", "test"):
        pairs = rows.splits[split]
        if not pairs:
            continue
        chosen = scorer.score_ids([pair["chosen_ids"] for pair in pairs])
        rejected = scorer.score_ids([pair["rejected_ids"] for pair in pairs])
        gaps = [high - low for high, low in zip(chosen, rejected, strict=True)]
        won = sum(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps)
        metrics[f"{split}_accuracy"] = won / len(gaps)
        metrics[f"{split}_margin"] = sum(gaps) / len(gaps)
    return metrics


if __name__ == "__main__":
    main()
