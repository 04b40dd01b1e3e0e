"""What RLOO and GRPO share: prompts to reply to, and a reward model that scores the replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path
from random import Random
from typing import Any, cast

from datasets import Dataset
from transformers import AutoConfig, PreTrainedTokenizerBase

from training import rundir
from training.configs import OnlineConfig
from training.recipes.callbacks import RunCallback
from training.recipes.data import Dropped, Encoder, Ids, Splits, read_rows, usable
from training.recipes.fitting import conclude, fit, trainer_arguments
from training.recipes.loading import (
    device_of,
    load_policy,
    load_tokenizer,
    lora,
    need_template,
)
from training.recipes.running import (
    Run,
    StopSignal,
    logger,
    needed_model,
    needed_reward,
    open_run,
)
from training.recipes.scoring import Scorer, load_judge, longest_text, suffix_of


def train(
    recipe: str,
    arguments: list[str] | None,
    trainer_kind: Any,
    arguments_kind: Any,
    loss: Callable[[Any], dict[str, Any]],
) -> None:
    """Train one of TRL's two trainers on the run's prompts and leave a policy in `model/`.

    `loss` makes TRL's arguments for the loss of the config. Every step draws its replies anew, so
    a run that goes on from a checkpoint needs none of those before it.
    """
    run = open_run(recipe, arguments)
    stop = StopSignal(run.folder)
    config = cast(OnlineConfig, run.config)
    base = needed_model(run)
    tokenizer = load_tokenizer(base)
    need_template(tokenizer, base)
    _need_room(base, tokenizer)
    policy = load_policy(base, tokenizer, config=config)
    scorer = load_judge(
        needed_reward(run),
        tokenizer,
        device=device_of(config),
        batch_size=config.per_device_batch_size,
    )
    suffix = suffix_of(scorer.encoder, _ends(policy))
    new_tokens = config.max_new_tokens
    longest = longest_text(
        scorer, suffix, max_length=config.max_length, models=[policy], new_tokens=new_tokens
    )
    rows = encode_prompts(run.folder, Encoder(tokenizer, longest - new_tokens))
    logger.info("data: %s", rows.report())
    callback = RunCallback(run, stop, config.keep_checkpoints)
    trainer = trainer_kind(
        model=policy,
        reward_funcs=reward_model(scorer, config, _ends(policy)),
        args=arguments_kind(**_arguments(run, config, rows), **loss(config)),
        train_dataset=Dataset.from_list(in_order(rows.splits["train"], config, run.seed)),
        eval_dataset=rows.dataset("validation"),
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=lora(config),
    )
    fitted = fit(run, trainer, callback)
    conclude(run, trainer, fitted, tokenizer=tokenizer, rows=rows, kind="policy")


def _arguments(run: Run, config: OnlineConfig, rows: Splits) -> dict[str, Any]:
    """TRL's arguments; it has none for the longest text, which the encoder has seen to."""
    given = trainer_arguments(run, rows)
    del given["max_length"]
    return {
        **given,
        "num_train_epochs": 1.0,  # the order holds all passes, see in_order
        "shuffle_dataset": False,
        "num_generations": config.replies_per_prompt,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "beta": config.beta,
    }


def in_order(
    prompts: Sequence[dict[str, Any]], config: OnlineConfig, seed: int
) -> list[dict[str, Any]]:
    """The prompts in the order in which the whole run asks them, each pass shuffled anew.

    TRL's sampler shuffles by a generator that no checkpoint holds, so that a run which goes on in
    a later pass would ask in another order.
    """
    replies = config.per_device_batch_size * config.processes * config.gradient_accumulation
    step = replies // config.replies_per_prompt
    count = config.max_steps * step or max(step, round(config.epochs * len(prompts)))
    order: list[int] = []
    while len(order) < count:
        rng = Random(f"{seed} {len(order)}")  # noqa: S311 - repeatable, nothing secret
        order += rng.sample(range(len(prompts)), len(prompts))
    return [prompts[place] for place in order[:count]]


def encode_prompts(folder: Path, encoder: Encoder) -> Splits:
    """Rows with `prompt`, the messages; texts and demonstrations in the file are passed over."""
    found = Splits()
    seen: set[tuple[int, ...]] = set()
    for row in read_rows(folder):
        found.rows += 1
        try:
            if "prompt" not in row or "completion" in row:
                raise Dropped("no_prompt_alone")
            ids = tuple(encoder.prompt(row["prompt"]))
            if ids in seen:
                raise Dropped("duplicate")
        except Dropped as reason:
            found.dropped[str(reason)] += 1
            continue
        seen.add(ids)
        found.splits[row["split"]].append({"prompt": row["prompt"]})
    return usable(found)


def reward_model(
    scorer: Scorer, config: OnlineConfig, ends: Set[int]
) -> Callable[..., list[float]]:
    """The run's reward model as TRL asks for it.

    `ends` are the tokens of which one ends a complete reply.
    """
    encoder = scorer.encoder
    suffix = suffix_of(encoder, ends)

    def score(prompts: Sequence[Any], completion_ids: Sequence[Ids], **_: Any) -> list[float]:
        heads = [encoder.prompt(prompt) for prompt in prompts]
        ended = [ids[-1] in ends for ids in completion_ids]
        parts = zip(heads, completion_ids, ended, strict=True)
        # A complete reply ends as the template ends one: such exchanges the judge learned from.
        whole = [head + list(ids) + (suffix if end else []) for head, ids, end in parts]
        scores = scorer.score_ids(whole)
        return [judged(s, e, config) for s, e in zip(scores, ended, strict=True)]

    score.__name__ = "reward_model"  # by this name TRL logs it
    return score


def _ends(policy: Any) -> set[int]:
    """The tokens that end a reply; the loader has made them a list."""
    return set(policy.generation_config.eos_token_id)


def judged(score: float, ended: bool, config: OnlineConfig) -> float:
    """What a reply is worth: its score, or what the config makes of one without an end.

    `replace` is the authors' own way (1909.08593, 2403.17031), `subtract` TRL's.
    """
    if ended or config.missing_eos == "keep":
        return score
    if config.missing_eos == "subtract":
        return score - config.missing_eos_penalty
    return config.missing_eos_score


def _need_room(base: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """RunFolderError if the tokenizer has marks that the reference, read by TRL, has no row for."""
    shape: Any = AutoConfig.from_pretrained(base)
    if len(tokenizer) > shape.get_text_config().vocab_size:
        raise rundir.RunFolderError(
            f"The model in {base} has no token for padding: fine-tune it with the recipe sft first."
        )
