"""What a reward model says, while a policy learns from rows, of its replies to held-out prompts.

InstructGPT chose its SFT model by this score and not by the loss on validation rows, which rises
from the second epoch on while replies still become better (2203.02155, 3.5).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from training import rundir
from training.configs import JudgedConfig
from training.recipes.actors import collate, kept, log_probabilities, put_back, trained
from training.recipes.callbacks import measures
from training.recipes.data import Dropped, Encoder, Ids, Splits, read_rows
from training.recipes.episodes import shuffled
from training.recipes.loading import device_of
from training.recipes.returns import kl_terms
from training.recipes.rollouts import CachedRoller, end_marks, stream_seed
from training.recipes.running import Run
from training.recipes.scoring import Scorer, load_judge, longest_text, suffix_of

SCORE = "eval_objective/scores"
PREFIX = "best-"


def judge_for(
    run: Run,
    policy: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Splits,
    *,
    reference: Any = None,
    chooses: bool = False,
) -> Judge | None:
    """The judge of a run that names a reward model, else None.

    `reference` is the policy as it starts; with LoRA it is the policy with its adapter off and
    need not be given. Raises RunFolderError where the reward model reads other tokens or has no
    room for a reply, or no validation prompt is left to reply to.
    """
    if run.reward is None:
        return None
    config = cast(JudgedConfig, run.config)
    scorer = load_judge(
        run.reward, tokenizer, device=device_of(config), batch_size=config.per_device_batch_size
    )
    suffix = suffix_of(scorer.encoder, end_marks(policy))
    longest = longest_text(scorer, suffix, max_length=config.max_length, models=[policy])
    new_tokens = min(config.eval_max_new_tokens, longest // 2)
    prompts = held_out_prompts(run.folder, Encoder(tokenizer, longest - new_tokens))
    if not prompts or not rows.splits["validation"]:
        raise rundir.RunFolderError(
            "The run has a reward model, but no prompt of the split validation to reply to: add "
            "rows of that split, raise max_length, or leave the reward model out."
        )
    picked = shuffled(len(prompts), run.seed, "judged prompts")[: config.eval_prompts]
    return Judge(
        run,
        tokenizer,
        scorer=scorer,
        prompts=[prompts[at] for at in picked],
        new_tokens=new_tokens,
        reference=reference,
        chooses=chooses,
    )


def held_out_prompts(folder: Path, encoder: Encoder) -> list[Ids]:
    """The prompts of the split validation, each once, those left out that are too long."""
    found: dict[tuple[int, ...], None] = {}
    for row in read_rows(folder):
        if row["split"] == "validation" and "prompt" in row:
            try:
                found[tuple(encoder.prompt(row["prompt"]))] = None
            except Dropped:
                continue
    return [list(ids) for ids in found]


class Judge(TrainerCallback):
    """Draws replies at every evaluation and logs what the reward model says of them.

    The luck of a reply comes from the run's seed, the step and the reply's number, so nothing is
    taken from the trainer's own random state. With `chooses` the weights of the best evaluation
    so far lie in the run's cache. `trainer` is set once the trainer is made.
    """

    def __init__(
        self,
        run: Run,
        tokenizer: PreTrainedTokenizerBase,
        *,
        scorer: Scorer,
        prompts: Sequence[Ids],
        new_tokens: int,
        reference: Any,
        chooses: bool,
    ) -> None:
        self.trainer: Any = None
        self._chooses = chooses
        self._best = BestWeights(run.folder)
        self._run = run
        self._config = cast(JudgedConfig, run.config)
        self._tokenizer = tokenizer
        self._scorer = scorer
        self._prompts = [ids for ids in prompts for _ in range(self._config.eval_replies)]
        self._new_tokens = new_tokens
        self._reference = reference

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        values = self.measure(state.global_step)
        self.trainer.log(dict(values))
        if metrics is not None:
            metrics.update(values)
        if self._chooses and self._run.first and best_of(state)["step"] == state.global_step:
            self._best.keep(state.global_step, trained(self._policy()))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """From here on a run that goes on needs the best weights so far, and no others."""
        if self._chooses and self._run.first and _judged(state):
            self._best.keep_only(int(best_of(state)["step"]))

    def choose(self, metrics: dict[str, float]) -> dict[str, Any]:
        """Give the policy the weights of the best evaluation, and `metrics` what it measured.

        Returns what result.json says of it: the step, its score and the curve it was chosen from;
        nothing where the last weights are to stay.
        """
        if not self._chooses:
            return {}
        state = self.trainer.state
        best = best_of(state)
        put_back(trained(self._policy()), self._best.weights(int(best["step"])))
        for row in state.log_history:
            if row["step"] == best["step"] and "loss" not in row:
                metrics.update(measures(row))
        curve = [_point(row) for row in _judged(state)]
        return {"chosen": {**_point(best), "of": len(curve), "curve": curve}}

    @torch.no_grad()
    def measure(self, step: int) -> dict[str, float]:
        """Means over the replies of a step; all processes take part and learn the same.

        The KL is that to the policy which the run started from, sampled, summed over a reply: k1,
        and k3, which is never below 0.
        """
        model = self._policy()
        own = range(self._run.rank, len(self._prompts), self._run.world)
        prompts = [self._prompts[at] for at in own]
        roller = CachedRoller(
            model,
            self._tokenizer,
            temperature=1.0,
            max_new_tokens=self._new_tokens,
            batch_size=self._config.per_device_batch_size,
            autocast=self._autocast,
        )
        seeds = [stream_seed(self._run.seed, "judged", step, at) for at in own]
        replies = roller.roll(prompts, seeds)
        ends = end_marks(model)
        ended = [reply[-1] in ends for reply in replies]
        scores = self._scores(prompts, replies, ended, ends)
        divergences = self._divergences(model, prompts, replies)
        lengths = [len(reply) for reply in replies]
        found = zip(own, scores, *divergences, lengths, ended, strict=True)
        rows = sorted(gather_object(list(found)))
        _, score, k1, k3, length, complete = zip(*rows, strict=True)
        return {
            SCORE: fmean(score),
            "eval_objective/kl": fmean(k1),
            "eval_objective/kl_k3": fmean(k3),
            "eval_val/length": fmean(length),
            "eval_val/share_without_eos": 1 - fmean(complete),
        }

    def _policy(self) -> Any:
        return self.trainer.accelerator.unwrap_model(self.trainer.model)

    def _autocast(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.trainer.accelerator.autocast()
        return context

    def _scores(
        self, prompts: list[Ids], replies: list[Ids], ended: list[bool], ends: list[int]
    ) -> list[float]:
        suffix = suffix_of(self._scorer.encoder, ends)
        parts = zip(prompts, replies, ended, strict=True)
        whole = [p + reply + (suffix if complete else []) for p, reply, complete in parts]
        with self._autocast():
            return self._scorer.score_ids(whole) if whole else []

    def _divergences(
        self, model: Any, prompts: list[Ids], replies: list[Ids]
    ) -> tuple[list[float], list[float]]:
        """Each reply's k1 and k3, in nats."""
        k1, k3 = [0.0] * len(replies), [0.0] * len(replies)
        order = sorted(range(len(replies)), key=lambda at: len(prompts[at]) + len(replies[at]))
        size, pad = self._config.per_device_batch_size, int(cast(int, self._tokenizer.pad_token_id))
        for start in range(0, len(order), size):
            part = order[start : start + size]
            batch = collate(
                [prompts[at] for at in part], [replies[at] for at in part], pad, model.device
            )
            with self._autocast():
                own = log_probabilities(model, batch, 1.0)
                if self._reference is None:
                    with model.disable_adapter():
                        base = log_probabilities(model, batch, 1.0)
                else:
                    reference = self._reference.to(model.device).train(False)
                    base = log_probabilities(reference, batch, 1.0)
            for values, terms in zip((k1, k3), kl_terms(own, base, batch.real), strict=True):
                for at, value in zip(part, terms.sum(1).tolist(), strict=True):
                    values[at] = value
        return k1, k3


def _judged(state: TrainerState) -> list[dict[str, float]]:
    """The rows of a trainer's history with a score, in the order of their steps."""
    return [row for row in state.log_history if SCORE in row]


def best_of(state: TrainerState) -> dict[str, float]:
    """The row with the highest score, the earliest of several; ValueError if there is none."""
    return max(_judged(state), key=lambda row: row[SCORE])


def _point(row: Mapping[str, float]) -> dict[str, float]:
    return {"step": row["step"], "score": row[SCORE], "kl": row["eval_objective/kl"]}


class BestWeights:
    """Weights kept by step in the run's cache, so that a run that goes on finds the best so far.

    A run goes on from its newest whole checkpoint and takes the steps after it anew. So what was
    the best up to there must stay until the next checkpoint is whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cache = folder / rundir.CACHE

    def keep(self, step: int, weights: dict[str, torch.Tensor]) -> None:
        """Write weights so that they are there whole or not at all."""
        self._cache.mkdir(exist_ok=True)
        temporary = self._cache / f".{PREFIX}{step}.tmp"
        save_file(kept(weights), temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(self._path(step))
        rundir.sync_folder(self._cache)
        checkpoint = rundir.newest_checkpoint(self._folder)
        last = checkpoint.step if checkpoint else 0
        self._remove(other for other in self._steps() if last < other != step)

    def keep_only(self, step: int) -> None:
        """Remove the weights of all other steps."""
        self._remove(other for other in self._steps() if other != step)

    def weights(self, step: int) -> dict[str, torch.Tensor]:
        """The weights of a step; RunFolderError if somebody has removed them."""
        if not self._path(step).exists():
            raise rundir.RunFolderError(
                f"{self._path(step)} is missing, which held the best weights: remove "
                f"{rundir.CHECKPOINTS}/ from the run's folder and start it again."
            )
        return load_file(self._path(step))

    def _path(self, step: int) -> Path:
        return self._cache / f"{PREFIX}{step}.safetensors"

    def _steps(self) -> list[int]:
        names = [path.stem for path in self._cache.glob(f"{PREFIX}*.safetensors")]
        return [int(name.removeprefix(PREFIX)) for name in names]

    def _remove(self, steps: Iterable[int]) -> None:
        for step in steps:
            self._path(step).unlink()
