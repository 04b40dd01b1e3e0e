"""From a config to TRL's arguments, and one way to train: go on, stop, evaluate, save, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerBase, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from training import rundir
from training.configs import TrainingConfig
from training.recipes.callbacks import RunCallback, measures
from training.recipes.data import Splits
from training.recipes.grouping import BY_LENGTH
from training.recipes.judging import Judge
from training.recipes.loading import save_model, whole
from training.recipes.ranks import tell, watched
from training.recipes.running import Run, logger, write_result


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """How far training came and what it measured last."""

    steps: int
    total: int
    metrics: Mapping[str, float]
    stopped: str | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Metrics of a finished model, and what result.json says beside them."""

    metrics: Mapping[str, float]
    extra: Mapping[str, Any]


def trainer_arguments(run: Run, rows: Splits) -> dict[str, Any]:
    """The arguments that TRL's SFT, reward and DPO configs have in common.

    TRL's own defaults differ (bf16, gradient checkpointing, a warmup-free schedule), so everything
    that shapes a run is said here.
    """
    config = cast(TrainingConfig, run.config)
    evaluates = bool(config.eval_steps and rows.splits["validation"])
    return {
        **_schedule(config),
        "output_dir": str(run.folder / rundir.CHECKPOINTS),
        "seed": run.seed,
        "data_seed": run.seed,
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "per_device_train_batch_size": config.per_device_batch_size,
        "per_device_eval_batch_size": config.per_device_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "max_grad_norm": config.max_grad_norm,
        "weight_decay": config.weight_decay,
        "adam_beta1": config.adam_beta1,
        "adam_beta2": config.adam_beta2,
        "optim": "rmsprop" if config.optimizer == "rmsprop" else "adamw_torch",
        "bf16": config.precision == "bf16",
        "use_cpu": config.device == "cpu",
        "activation_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.logging_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if evaluates else "no",
        "eval_steps": config.eval_steps if evaluates else None,
        "save_strategy": "steps" if config.checkpoint_steps else "no",
        "save_steps": config.checkpoint_steps or 500,
        "max_length": config.max_length,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": config.device != "cpu",
        "push_to_hub": False,
        **({"train_sampling_strategy": BY_LENGTH} if getattr(config, BY_LENGTH, False) else {}),
    }


def _schedule(config: TrainingConfig) -> dict[str, Any]:
    name = config.lr_schedule
    warmup = config.warmup_steps or config.warmup_ratio
    if name == "constant" and warmup:
        name = "constant_with_warmup"
    return {
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": name,
        "lr_scheduler_kwargs": (
            {"min_lr_rate": config.min_lr_ratio} if name == "cosine_with_min_lr" else None
        ),
        "warmup_steps": warmup,  # below 1 it is a part of all steps
    }


def fit(run: Run, trainer: Any, callback: RunCallback, judge: Judge | None = None) -> Fitted:
    """Train from the newest whole checkpoint, or from the start, to the end or a wish to stop."""
    callback.trainer = trainer
    if judge:
        judge.trainer = trainer
    drawn = watched(run, trainer)
    checkpoint = rundir.newest_checkpoint(run.folder)
    if checkpoint is None:
        trainer.train()
    elif checkpoint.step >= checkpoint.state["total"]:
        # Asked to go on from a finished run, the Trainer would take one step more.
        logger.info("training was already done at step %s", checkpoint.step)
        trainer._load_from_checkpoint(str(checkpoint.path))
        trainer.state = TrainerState.load_from_json(str(checkpoint.path / TRAINER_STATE_NAME))
    else:
        logger.info("going on from step %s", checkpoint.step)
        trainer._total_train_tokens = checkpoint.state["tokens"]
        trainer.train(resume_from_checkpoint=str(checkpoint.path))
    if drawn is not None:
        tell(run, trainer, drawn)
    state = trainer.state
    return Fitted(
        steps=state.global_step,
        total=state.max_steps,
        metrics=_last_values(state.log_history),
        stopped=callback.stopped,
    )


def _last_values(history: list[dict[str, float]]) -> dict[str, float]:
    """The last training row and the last evaluation."""
    values: dict[str, float] = {}
    for row in history:
        if "train_runtime" not in row:
            values.update(row)
    return measures(values)


def conclude(
    run: Run,
    trainer: Any,
    fitted: Fitted,
    *,
    tokenizer: PreTrainedTokenizerBase,
    rows: Splits,
    kind: str,
    settle: Callable[[Any], Mapping[str, Any]] | None = None,
    measure: Callable[[Any], Measured] | None = None,
    members: Sequence[Path] = (),
    judge: Judge | None = None,
) -> None:
    """Evaluate, save the model and write the result; after a stop without the evaluation.

    `settle` makes the last change to the whole model before it is saved, and says what it did;
    `measure` is asked for more metrics of the finished model. What either says beside metrics
    stands in result.json under its own name. `members` are an ensemble's other models; `judge` may
    choose other weights than the last ones.
    """
    metrics, stopped = dict(fitted.metrics), fitted.stopped
    extra: dict[str, Any] = {}
    if stopped:
        extra["reason"] = stopped
        logger.info("stopped at step %s: %s", fitted.steps, stopped)
    elif trainer.eval_dataset is not None and not _evaluated_last(trainer.state):
        metrics.update(measures(trainer.evaluate()))
    if run.first:
        if judge and not stopped:
            extra.update(judge.choose(metrics))
        model = whole(trainer.accelerator.unwrap_model(trainer.model))
        extra.update(settle(model) if settle else {})
        save_model(model, tokenizer, run.folder / rundir.MODEL, members)
        if measure and not stopped:
            measured = measure(model)
            metrics.update(measured.metrics)
            extra.update(measured.extra)
    write_result(
        run,
        status="stopped" if stopped else "succeeded",
        steps=fitted.steps,
        total=fitted.total,
        metrics=metrics,
        data=rows.report(),
        kind=kind,
        extra=extra,
    )


def _evaluated_last(state: TrainerState) -> bool:
    """Whether the last step has been evaluated already."""
    rows = [row for row in state.log_history if "eval_loss" in row]
    return bool(rows) and rows[-1]["step"] == state.global_step
