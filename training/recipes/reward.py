"""A reward model from whole rankings: `python -m training.recipes.reward <run folder>`.

One batch element is one judged comparison. Its K candidates are encoded once, K forwards and not
K(K-1), and its pairs share one loss, so that none of them is learned from again and again in an
epoch (InstructGPT, 2203.02155, 3.5). The trainer is TRL's RewardTrainer, extended.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean, pstdev
from typing import Any, cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.reward_config import RewardConfig as TRLConfig

from training import rundir
from training.configs import RewardConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Encoder, Ids, Splits
from training.recipes.fitting import Fitted, Measured, conclude, fit, trainer_arguments
from training.recipes.loading import (
    load_reward_model,
    load_tokenizer,
    lora,
    need_template,
    save_model,
    whole,
)
from training.recipes.ranking_trainer import RankingCollator, RankingTrainer
from training.recipes.rankings import REFERENCE, encode_rankings
from training.recipes.reward_model import head_of, set_scale
from training.recipes.reward_report import (
    Scored,
    disagreement,
    mean_of,
    metrics_of,
    report_of,
)
from training.recipes.running import Run, StopSignal, logger, needed_model, open_run
from training.recipes.scoring import Scorer
from training.recipes.shared_prefix import costs_of, sharing

MOST_REFERENCE = 256


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's rankings and leave a reward model in `model/`."""
    run = open_run("reward", arguments)
    stop = StopSignal(run.folder)
    config = cast(RewardConfig, run.config)
    base = needed_model(run)
    tokenizer = load_tokenizer(base)
    need_template(tokenizer, base)
    rows = encode_rankings(run.folder, Encoder(tokenizer, config.max_length), config)
    logger.info("data: %s", rows.report())
    trainer, fitted = _fitted(run, stop, base, tokenizer, rows)

    def settle(model: Any, seed: int = run.seed) -> dict[str, Any]:
        scorer = Scorer(model, tokenizer, config.per_device_batch_size)
        return _settle(scorer, model, rows, config, seed)

    fitted, members = _members(run, stop, fitted, base, tokenizer, rows, settle)

    def measure(model: Any) -> Measured:
        others = [load_reward_model(member, tokenizer).to(model.device) for member in members]
        size = config.per_device_batch_size
        return _measured(Scorer(model, tokenizer, size, others=others), rows)

    conclude(
        run,
        trainer,
        fitted,
        tokenizer=tokenizer,
        rows=rows,
        kind="reward",
        settle=settle,
        measure=measure,
        members=members,
    )


def _fitted(
    run: Run, stop: StopSignal, base: Path, tokenizer: PreTrainedTokenizerBase, rows: Splits
) -> tuple[RankingTrainer, Fitted]:
    """A model trained by the run's seed: its head, its order of the comparisons.

    The trainer comes back without its optimizer, whose moments take twice the weights' room.
    """
    callback = RunCallback(run, stop, cast(RewardConfig, run.config).keep_checkpoints)
    model = load_reward_model(base, tokenizer, seed=run.seed)
    trainer = ranking_trainer(run, model, tokenizer, rows, callback)
    fitted = fit(run, trainer, callback)
    _forget_optimizer(trainer)
    return trainer, fitted


def _forget_optimizer(trainer: Any) -> None:
    """Free what only training needs. The model stays prepared, for an evaluation may follow."""
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.callback_handler.optimizer = trainer.callback_handler.lr_scheduler = None
    # Its free_memory would forget the model as well, and the evaluation prepare it once more.
    trainer.accelerator._optimizers.clear()
    trainer.accelerator._schedulers.clear()
    gc.collect()


def _members(
    run: Run,
    stop: StopSignal,
    fitted: Fitted,
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    rows: Splits,
    settle: Callable[[Any, int], dict[str, Any]],
) -> tuple[Fitted, list[Path]]:
    """The folders of an ensemble's other models, trained from the next seeds (2310.02743).

    Each has a folder of its own with its checkpoints, so that what is done stays done when the run
    goes on after a stop or a kill. After a stop there are those that were finished.
    """
    made: list[Path] = []
    for number in range(1, cast(RewardConfig, run.config).ensemble):
        if fitted.stopped:
            break
        folder = run.folder / rundir.CACHE / f"{rundir.MEMBER}{number}"
        if not (folder / rundir.MODEL).exists():
            logger.info("member %s of the ensemble", number)
            folder.mkdir(parents=True, exist_ok=True)
            if run.first:
                rundir.rewind(folder)
            member = replace(run, folder=folder, seed=run.seed + number)
            stopped = _member(member, stop, base, tokenizer, rows, settle)
            gc.collect()  # a trainer and its callbacks know each other
            if stopped:
                return replace(fitted, stopped=stopped), made
        made.append(folder / rundir.MODEL)
    return fitted, made


def _member(
    run: Run,
    stop: StopSignal,
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    rows: Splits,
    settle: Callable[[Any, int], dict[str, Any]],
) -> str | None:
    """Train and save one more model of an ensemble; returns why it stopped early, if it did."""
    trainer, fitted = _fitted(run, stop, base, tokenizer, rows)
    if run.first and not fitted.stopped:
        model = whole(trainer.accelerator.unwrap_model(trainer.model))
        settle(model, run.seed)
        save_model(model, tokenizer, run.folder / rundir.MODEL)
    return fitted.stopped


def ranking_trainer(
    run: Run,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Splits,
    callback: RunCallback | None = None,
) -> RankingTrainer:
    """The trainer of a run, its rows encoded already.

    Raises RunFolderError where shared_prefix is always and the model can't.
    """
    config = cast(RewardConfig, run.config)
    collator = RankingCollator(
        int(cast(int, tokenizer.pad_token_id)),
        shared=sharing(config.shared_prefix, model),
        costs=costs_of(model),
    )
    return RankingTrainer(
        model=model,
        args=TRLConfig(
            **trainer_arguments(run, rows),
            center_rewards_coefficient=config.center_rewards_coefficient or None,
            remove_unused_columns=False,
        ),
        data_collator=collator,
        train_dataset=rows.dataset("train"),
        eval_dataset=rows.dataset("validation"),
        processing_class=tokenizer,
        callbacks=[callback] if callback else None,
        peft_config=lora(config, head=head_of(model)),
    )


def _settle(
    scorer: Scorer, model: Any, rows: Splits, config: RewardConfig, seed: int
) -> dict[str, Any]:
    """Shift the scores, and scale them where asked: demonstrations get mean 0 (InstructGPT C.2).

    Without demonstrations the training split's candidates stand in, as samples of the policy.
    Of more than MOST_REFERENCE texts so many are drawn by the seed: rows may stand in the order of
    their time or topic, and the first ones be unlike the rest.
    """
    if not config.zero_mean:
        return {}
    texts = [row["input_ids"] for row in rows.splits[REFERENCE]]
    source = "demonstrations" if texts else "candidates"
    texts = texts or _candidates(rows.splits["train"])
    if len(texts) > MOST_REFERENCE:
        rng = Random(f"{seed} reference")  # noqa: S311 - repeatable, nothing secret
        texts = rng.sample(texts, MOST_REFERENCE)
    scores = scorer.score_ids(texts)
    mean, deviation = fmean(scores), pstdev(scores)
    set_scale(model, mean=mean, deviation=deviation if config.unit_variance else None)
    told = {"source": source, "texts": len(texts), "mean": mean, "deviation": deviation}
    return {"scale": {**told, "unit_variance": config.unit_variance}}


def _candidates(rows: list[dict[str, Any]]) -> list[Ids]:
    return [row["prompt_ids"] + ids for row in rows for ids in row["reply_ids"]]


def _measured(scorer: Scorer, rows: Splits) -> Measured:
    """The report on both held-out splits, over all pairs of a split at once."""
    reports: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    for split in ("validation", "test"):
        held = rows.splits[split]
        each = [_scored(scores, held) for scores in scorer.score_each(_candidates(held))]
        report = report_of(mean_of(each)) if held else None
        if report:
            report["ensemble"] = disagreement(each) if len(each) > 1 else None
            reports[split] = report
            metrics |= metrics_of(split, report)
    return Measured(metrics=metrics, extra={"report": reports})


def _scored(scores: list[float], rows: list[dict[str, Any]]) -> list[Scored]:
    every = iter(scores)
    return [
        Scored(
            scores=[next(every) for _ in row["reply_ids"]],
            ranks=row["ranks"],
            lengths=[len(ids) for ids in row["reply_ids"]],
            annotator=row["annotator"],
        )
        for row in rows
    ]


if __name__ == "__main__":
    main()
