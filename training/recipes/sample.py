"""Replies of a policy to prompts: `python -m training.recipes.sample <run folder>`.

Prompts are sorted by length, so batches hold little padding. After each batch a checkpoint says
how much of samples.jsonl is whole; a run that goes on keeps that and repeats nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

from training import rundir
from training.configs import SampleConfig
from training.recipes.data import Dropped, Encoder, Ids, read_rows
from training.recipes.generation import Drawn, Sampler, load_sampler
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
    done = _go_on(run)
    reason = None
    for step, batch in enumerate(batches[done:], start=done + 1):
        _write_batch(run, sampler, batch, fixed, step=step, total=len(batches))
        done = step
        reason = stop.reason()
        if step % config.checkpoint_steps == 0 or reason or step == len(batches):
            _checkpoint(run, step)
        if reason:
            break
    complete = done == len(batches)
    write_result(
        run,
        status="succeeded" if complete else "stopped",
        steps=done,
        total=len(batches),
        metrics=_summary(run),
        data=data,
        extra={"samples": _samples(run, fixed), "reason": None if complete else reason},
    )


def candidate_seed(seed: int, prompt_id: str, candidate: int) -> int:
    """The seed of one candidate, from the run's seed and what it is; below 2**53."""
    digest = hashlib.sha256(f"{seed}:{prompt_id}:{candidate}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 11


def _asked(run: Run, config: SampleConfig, encoder: Encoder) -> tuple[list[Asked], dict[str, Any]]:
    """Every reply to draw, those of short prompts first, and how many prompts were left out."""
    count, dropped = 0, Counter[str]()
    prompts: dict[str, Ids] = {}
    for row in read_rows(run.folder):
        count += 1
        try:
            if row["prompt_id"] in prompts:
                raise Dropped("duplicate")
            prompts[row["prompt_id"]] = encoder.prompt(row["prompt"])
        except Dropped as reason:
            dropped[str(reason)] += 1
    if not prompts:
        raise rundir.RunFolderError(f"No prompt is left (left out: {dict(dropped)}).")
    asked = [
        Asked(prompt_id=name, candidate=nth, ids=ids, seed=candidate_seed(run.seed, name, nth))
        for name, ids in sorted(prompts.items(), key=lambda item: (len(item[1]), item[0]))
        for nth in range(config.candidates_per_prompt)
    ]
    return asked, {"rows": count, "prompts": len(prompts), "dropped": dict(dropped)}


def _settings(config: SampleConfig) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "max_new_tokens")
    return {name: getattr(config, name) for name in names}


def _go_on(run: Run) -> int:
    """Cut samples.jsonl to what the newest checkpoint vouches for; returns the batches in it."""
    checkpoint = rundir.newest_checkpoint(run.folder)
    size = checkpoint.state["bytes"] if checkpoint else 0
    path = run.folder / rundir.SAMPLES
    path.touch()
    os.truncate(path, size)
    return checkpoint.step if checkpoint else 0


def _write_batch(
    run: Run,
    sampler: Sampler,
    batch: list[Asked],
    fixed: dict[str, Any],
    *,
    step: int,
    total: int,
) -> None:
    start = time.monotonic()
    drawn = sampler.draw([one.ids for one in batch], [one.seed for one in batch])
    spent = time.monotonic() - start
    with (run.folder / rundir.SAMPLES).open("a", encoding="utf-8") as file:
        for one, reply in zip(batch, drawn, strict=True):
            file.write(json.dumps(_row(one, reply, fixed), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    tokens = sum(reply.tokens for reply in drawn)
    values = {"samples": len(batch), "tokens": tokens, "tokens_per_s": tokens / max(spent, 1e-9)}
    values |= _means([asdict(reply) for reply in drawn])
    rundir.append_metric(run.folder, step=step, total=total, values=values)


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


def _checkpoint(run: Run, step: int) -> None:
    path = rundir.checkpoint_path(run.folder, step)
    path.mkdir(parents=True, exist_ok=True)
    size = (run.folder / rundir.SAMPLES).stat().st_size
    rundir.mark_complete(path, {"step": step, "bytes": size})
    rundir.remove_checkpoints(run.folder, keep=1)


def _written(run: Run) -> Iterator[dict[str, Any]]:
    with (run.folder / rundir.SAMPLES).open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _summary(run: Run) -> dict[str, float]:
    rows = list(_written(run))
    empty = sum(not row["text"].strip() for row in rows)
    return {"samples": len(rows), "empty": empty, **_means(rows)}


def _samples(run: Run, fixed: dict[str, Any]) -> dict[str, Any]:
    path = run.folder / rundir.SAMPLES
    sha256 = rundir.file_sha256(path)
    return {"path": str(path), "sha256": sha256, "model_sha256": fixed["model_sha256"]}


if __name__ == "__main__":
    main()
