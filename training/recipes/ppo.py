"""Proximal policy optimization: `python -m training.recipes.ppo <run folder>`.

InstructGPT's third stage (2203.02155, eq. 2): maximize `E[r(x, y) - beta log(pi / ref)]` and, with
gamma above 0 (PPO-ptx), `gamma E[log pi(text)]`, by clipped steps (1707.06347) with a value model
of its own. What the sources leave to choose is chosen in the config, and named there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import distributed

from training import rundir
from training.configs import PPOConfig
from training.recipes.actors import Actors, trained
from training.recipes.data import Encoder
from training.recipes.episodes import Episode, Material, read_material
from training.recipes.experience import Collector, Table, mean_kl
from training.recipes.loading import need_template, save_model
from training.recipes.ppo_state import load_checkpoint, save_checkpoint
from training.recipes.ppo_trainer import Clock, PPOTrainer
from training.recipes.rollouts import CachedRoller, Roller, end_marks
from training.recipes.rollouts_vllm import VLLMRoller
from training.recipes.running import (
    Run,
    StopSignal,
    logger,
    needed_model,
    needed_reward,
    open_run,
    write_rank,
    write_result,
)
from training.recipes.scoring import longest_text, suffix_of


def main(arguments: list[str] | None = None) -> None:
    """Learn from the reward model's judgement of own replies, and leave a policy in `model/`."""
    run = open_run("ppo", arguments)
    stop = StopSignal(run.folder)
    config = cast(PPOConfig, run.config)
    precision = "bf16" if config.precision == "bf16" else "no"
    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=precision)
    if config.threads:
        torch.set_num_threads(config.threads)  # accelerate may have changed them
    actors = Actors(
        config, needed_model(run), needed_reward(run), accelerator.device, seed=run.seed
    )
    need_template(actors.tokenizer, needed_model(run))
    suffix = suffix_of(actors.scorer.encoder, end_marks(actors.policy))
    longest = longest_text(
        actors.scorer,
        suffix,
        max_length=config.max_length,
        models=[actors.policy],
        new_tokens=config.max_new_tokens,
    )
    encoder = Encoder(actors.tokenizer, longest)
    material = read_material(run.folder, encoder, config)
    logger.info("data: %s", material.report())
    collector = Collector(
        config,
        seed=run.seed,
        actors=actors,
        roller=roller_for(run, actors, accelerator, encoder.max_length),
        material=material,
        accelerator=accelerator,
        suffix=suffix,
    )
    trainer = PPOTrainer(collector, seed=run.seed, texts=material.texts, accelerator=accelerator)
    if load_checkpoint(run, trainer):
        logger.info("going on from step %s", trainer.step)
    share_weights(actors, accelerator)
    metrics, reason = train(run, trainer, stop, accelerator)
    conclude(run, trainer, material, metrics, reason)


def roller_for(run: Run, actors: Actors, accelerator: Accelerator, max_length: int) -> Roller:
    """What draws the replies."""
    config = cast(PPOConfig, run.config)
    if config.generator == "vllm":
        return VLLMRoller(
            actors.policy,
            needed_model(run),
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            max_length=max_length,
            batch_size=config.rollout_batch_size,
            processes=accelerator.num_processes,
        )
    return CachedRoller(
        actors.policy,
        actors.tokenizer,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.rollout_batch_size,
        autocast=accelerator.autocast,
    )


def share_weights(actors: Actors, accelerator: Accelerator) -> None:
    """Let every process begin with the first one's weights."""
    if accelerator.num_processes == 1:
        return
    with torch.no_grad():
        for model in (actors.policy, actors.critic):
            for weight in trained(model).values():
                weight.copy_(broadcast(weight.detach().clone()))


def train(
    run: Run, trainer: PPOTrainer, stop: StopSignal, accelerator: Accelerator
) -> tuple[dict[str, float], str | None]:
    """Take steps until the last one, a wish to stop, or the KL's limit; returns the last metrics
    and why it stopped. A step that a wish to stop finds before it learned is left undone.
    """
    config, metrics = trainer.config, dict[str, float]()
    saved = trainer.step
    reason = None
    while trainer.step < config.steps:
        clock = Clock()
        episodes, first = trainer.collector.collect(trainer.step)
        table = trainer.collector.table(episodes, trainer.controller.beta)
        drawing = clock.lap()
        reason = agreed(stop.reason(), accelerator)
        if reason:
            break
        metrics = trainer.measures(episodes, table)
        too_far = bool(config.kl_limit) and mean_kl(table) > config.kl_limit
        if too_far:
            logger.info("the KL of %.2f is over kl_limit: ended early", mean_kl(table))
            report(run, trainer, metrics, episodes, table)
            break
        metrics |= trainer.learn(episodes, table, first)
        learning = clock.lap()
        metrics |= {"time/drawing": drawing, "time/learning": learning}
        metrics["eps"] = config.batch_size / (drawing + learning)
        report(run, trainer, metrics, episodes, table)
        trainer.finish(table)
        if config.checkpoint_steps and trainer.step % config.checkpoint_steps == 0:
            save_checkpoint(run, trainer, accelerator, config.keep_checkpoints)
            saved = trainer.step
    if reason and trainer.step > saved:
        save_checkpoint(run, trainer, accelerator, config.keep_checkpoints)
    return metrics, reason


def agreed(reason: str | None, accelerator: Accelerator) -> str | None:
    """The wish of any process, so that all of them leave at the same step."""
    if accelerator.num_processes == 1:
        return reason
    flag = torch.tensor(int(reason is not None), device=accelerator.device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return (reason or "another process was asked to stop") if flag.item() else None


def report(
    run: Run,
    trainer: PPOTrainer,
    metrics: dict[str, float],
    episodes: Sequence[Episode],
    table: Table,
) -> None:
    """Write a step's row of metrics, and some of its replies to read, where they are due."""
    config, step = trainer.config, trainer.step + 1
    if not run.first:
        return
    if step % config.logging_steps == 0 or step in (1, config.steps):
        rundir.append_metric(run.folder, step=step, total=config.steps, values=metrics)
    if config.sample_steps and (step % config.sample_steps == 0 or step in (1, config.steps)):
        count = min(config.samples, len(episodes))
        rows = [_reply(trainer, episodes[at], table, at) for at in range(count)]
        rundir.append_rollouts(run.folder, [{"step": step, **row} for row in rows])


def _reply(trainer: PPOTrainer, episode: Episode, table: Table, at: int) -> dict[str, Any]:
    text = str(trainer.actors.tokenizer.decode(episode.reply, skip_special_tokens=True))
    return {
        "prompt": episode.messages,
        "text": text.replace("\x00", "\ufffd"),  # no database takes a NUL in a text
        "score": episode.score,
        "kl": float(table.k1[at].sum()),
        "tokens": len(episode.reply),
        "ended": episode.ended,
    }


def conclude(
    run: Run,
    trainer: PPOTrainer,
    material: Material,
    metrics: dict[str, float],
    reason: str | None,
) -> None:
    """Save the policy, its average where one is kept, and write the result."""
    if reason:
        logger.info("stopped at step %s: %s", trainer.step, reason)
    policy, critic = trainer.actors.policy, trainer.actors.critic
    weights = weights_sha256(policy, critic)
    write_rank(run, data=trainer.collector.drawn.hexdigest(), weights=weights)
    if trainer.average is not None:
        with torch.no_grad():
            for name, weight in trained(policy).items():
                weight.copy_(trainer.average[name])
    if run.first:
        save_model(policy, trainer.actors.tokenizer, run.folder / rundir.MODEL)
    write_result(
        run,
        status="stopped" if reason else "succeeded",
        steps=trainer.step,
        total=trainer.config.steps,
        metrics=metrics,
        data=material.report(),
        kind="policy",
        extra={"reason": reason} if reason else None,
    )


def weights_sha256(*models: torch.nn.Module) -> str:
    """One sha256 over all weights that learned."""
    digest = hashlib.sha256()
    for model in models:
        for name, weight in trained(model).items():
            digest.update(name.encode())
            digest.update(weight.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
