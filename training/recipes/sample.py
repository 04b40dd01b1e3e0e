"""Replies of a policy to prompts: `python -m training.recipes.sample <run folder>`.

Prompts are sorted by length, so batches hold little padding. After each batch a checkpoint says
how much of samples.jsonl is whole; a run that goes on keeps that and repeats nothing.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, cast

from training import rundir
from training.configs import SampleConfig
from training.recipes.data import Encoder, Ids
from training.recipes.generation import Drawn, Sampler, load_sampler
from training.recipes.replying import Lines, candidate_seed, read_prompts
from training.recipes.running import Run, StopSignal, logger, needed_model, open_run, write_result


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One reply to draw."""

    prompt_id: str
    candidate: int
    ids: Ids
    seed: int


def main(arguments: list[str] | None = None) -> None:
    """Draw the replies the run asks for and leave them in samples.jsonl."""
    run = open_run("sample", arguments)
    stop = StopSignal(run.folder)
    config = cast(SampleConfig, run.config)
    model = needed_model(run)
    sampler, encoder = load_sampler(model, config)
    asked, data = _asked(run, config, encoder)
    logger.info("data: %s, candidates: %s", data, len(asked))
    batches = [asked[at : at + config.batch_size] for at in range(0, len(asked), config.batch_size)]
    fixed = _settings(config) | {"model_sha256": rundir.weights_sha256(model)}
    lines = Lines(run, rundir.SAMPLES)
    done = lines.go_on()
    reason = None
    for step, batch in enumerate(batches[done:], start=done + 1):
        values = _write_batch(lines, sampler, batch, fixed)
        rundir.append_metric(run.folder, step=step, total=len(batches), values=values)
        done = step
        reason = stop.reason()
        if step % config.checkpoint_steps == 0 or reason or step == len(batches):
            lines.checkpoint(step)
        if reason:
            break
    complete = done == len(batches)
    write_result(
        run,
        status="succeeded" if complete else "stopped",
        steps=done,
        total=len(batches),
        metrics=_summary(lines),
        data=data,
        extra={"samples": _samples(lines, fixed), "reason": None if complete else reason},
    )


def _asked(run: Run, config: SampleConfig, encoder: Encoder) -> tuple[list[Asked], dict[str, Any]]:
    """Every reply to draw, those of short prompts first, and how many prompts were left out."""
    prompts, data = read_prompts(run, encoder)
    asked = [
        Asked(
            prompt_id=one.prompt_id,
            candidate=nth,
            ids=one.ids,
            seed=candidate_seed(run.seed, one.prompt_id, nth),
        )
        for one in prompts
        for nth in range(config.candidates_per_prompt)
    ]
    return asked, data


def _settings(config: SampleConfig) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "max_new_tokens")
    return {name: getattr(config, name) for name in names}


def _write_batch(
    lines: Lines, sampler: Sampler, batch: list[Asked], fixed: dict[str, Any]
) -> dict[str, float]:
    """Draw a batch and write it down; returns what was measured of it."""
    start = time.monotonic()
    drawn = sampler.draw([one.ids for one in batch], [one.seed for one in batch])
    spent = time.monotonic() - start
    lines.append(_row(one, reply, fixed) for one, reply in zip(batch, drawn, strict=True))
    tokens = sum(reply.tokens for reply in drawn)
    values = {"samples": len(batch), "tokens": tokens, "tokens_per_s": tokens / max(spent, 1e-9)}
    return values | _means([asdict(reply) for reply in drawn])


def _row(one: Asked, reply: Drawn, fixed: dict[str, Any]) -> dict[str, Any]:
    who = {"prompt_id": one.prompt_id, "candidate": one.candidate}
    message = {"completion": [{"role": "assistant", "content": reply.text}]}
    return {**who, **message, **asdict(reply), "prompt_tokens": len(one.ids), **fixed}


def _means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Length, share that ended by itself, and log-probability of a reply, on the average."""
    count = max(len(rows), 1)
    return {
        "mean_tokens": sum(row["tokens"] for row in rows) / count,
        "stop_rate": sum(row["finish_reason"] == "stop" for row in rows) / count,
        "mean_logprob": sum(row["logprob"] for row in rows) / count,
    }


def _summary(lines: Lines) -> dict[str, float]:
    rows = list(lines.read())
    empty = sum(not row["text"].strip() for row in rows)
    return {"samples": len(rows), "empty": empty, **_means(rows)}


def _samples(lines: Lines, fixed: dict[str, Any]) -> dict[str, Any]:
    sha256 = rundir.file_sha256(lines.path)
    return {"path": str(lines.path), "sha256": sha256, "model_sha256": fixed["model_sha256"]}


if __name__ == "__main__":
    main()
