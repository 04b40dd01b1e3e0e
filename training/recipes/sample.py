"""Replies of a model to prompts: `python -m training.recipes.sample <run folder>`.

Who draws them is a back-end: transformers, vLLM, or a server elsewhere. After each batch a
checkpoint says how much of draws.jsonl is whole; a run that goes on keeps that and repeats nothing.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, cast

from training import rundir
from training.configs import SampleConfig
from training.recipes.drawing import Asked, Backend, Drawing, line, means, write_samples
from training.recipes.drawing_here import TransformersBackend, VLLMBackend
from training.recipes.outside import OutsideBackend
from training.recipes.replying import Lines
from training.recipes.running import Run, StopSignal, logger, open_run, write_result


def main(arguments: list[str] | None = None) -> None:
    """Draw the replies the run asks for and leave them in samples.jsonl."""
    run = open_run("sample", arguments)
    stop = StopSignal(run.folder)
    config = cast(SampleConfig, run.config)
    with closing(_backend(run, config, stop)) as backend:
        _draw_all(run, config, stop, backend)


def _draw_all(run: Run, config: SampleConfig, stop: StopSignal, backend: Backend) -> None:
    """Draw what no earlier attempt has drawn, and write the result."""
    prompts, data = backend.prompts()
    drawing = Drawing(prompts, config.candidates_per_prompt, config.redraws, run.seed)
    lines = Lines(run, rundir.DRAWS)
    step = lines.go_on(by_line=backend.by_line)
    for row in lines.read():
        drawing.take(row)
    logger.info("data: %s, drawn before: %s", data, len(drawing.rows))
    reason, total = None, step
    # Whose text another one has is wanted again, so there may be several turns.
    while not reason and (wanted := drawing.wanted()):
        size = backend.batch_size
        batches = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        total = step + len(batches)
        for batch in batches:
            step += 1
            values = _draw_batch(backend, lines, drawing, batch)
            if values:
                rundir.append_metric(run.folder, step=step, total=total, values=values)
            problem = backend.problem()
            reason = problem["sentence"] if problem else stop.reason()
            if step % config.checkpoint_steps == 0 or reason or step == total:
                lines.checkpoint(step)
            if reason:
                break
    problem = backend.problem()
    write_samples(lines, drawing)
    complete = not drawing.wanted()
    write_result(
        run,
        status="succeeded" if complete else "stopped",
        steps=step,
        total=total,
        metrics=drawing.summary(),
        data=data,
        extra={
            "samples": _samples(run, backend),
            "reason": None if complete else reason,
            **({"endpoint_problem": problem} if problem else {}),
        },
    )


def _backend(run: Run, config: SampleConfig, stop: StopSignal) -> Backend:
    """Who draws: a folder that names an endpoint has no weights to draw with here."""
    if (run.folder / rundir.ENDPOINT).exists():
        return OutsideBackend(run, config, stop)
    return (
        VLLMBackend(run, config) if config.backend == "vllm" else TransformersBackend(run, config)
    )


def _draw_batch(
    backend: Backend, lines: Lines, drawing: Drawing, batch: list[Asked]
) -> dict[str, float]:
    """Draw a batch and write it down; returns what was measured of it, nothing if nothing came."""
    start = time.monotonic()
    rows = []
    waiting: list[dict[str, Any]] = []
    for one, came in backend.draw(batch):
        waiting.append(line(one, came, backend.fixed))
        if backend.by_line:
            lines.append(waiting)
            rows += waiting
            waiting = []
    lines.append(waiting)
    rows += waiting
    for row in rows:
        drawing.take(row)
    if not rows:
        return {}
    spent = time.monotonic() - start
    tokens = sum(row["tokens"] or 0 for row in rows)
    values = {"samples": len(rows), "tokens": tokens, "tokens_per_s": tokens / max(spent, 1e-9)}
    return values | means(rows)


def _samples(run: Run, backend: Backend) -> dict[str, Any]:
    path = run.folder / rundir.SAMPLES
    sha256 = rundir.file_sha256(path)
    return {"path": str(path), "sha256": sha256, "model_sha256": backend.fixed["model_sha256"]}


if __name__ == "__main__":
    main()
