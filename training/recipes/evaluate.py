"""What a policy is worth: `python -m training.recipes.evaluate <run folder>`.

It replies to held-out prompts. Its replies are scored by the reward model, held against the
reference that the KL is measured to, and against a baseline's replies where one is named. All
replies of some prompts are drawn and judged in one step, short prompts first; after it a
checkpoint says how much of evaluations.jsonl is whole, and a run that goes on repeats nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from training import rundir
from training.configs import EvaluateConfig
from training.recipes.ai_judge import AIJudge, Pair
from training.recipes.evaluation_report import Sums, report_of
from training.recipes.measuring import Panel
from training.recipes.replying import Lines, Prompt, candidate_seed, read_prompts
from training.recipes.rollouts import stream_seed
from training.recipes.running import Run, StopSignal, logger, open_run, write_result

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> None:
    """Measure the policy; leave its replies in evaluations.jsonl and the report in the result."""
    run = open_run("evaluate", arguments)
    stop = StopSignal(run.folder)
    config = cast(EvaluateConfig, run.config)
    panel = Panel(run, config)
    prompts, data = read_prompts(run, panel.encoder)
    if len(prompts) < 2:
        raise rundir.RunFolderError(
            f"One prompt is left of {data['rows']}, which gives no interval (left out: "
            f"{data['dropped']}): add prompts."
        )
    size = max(1, config.batch_size // config.replies_per_prompt)
    batches = [prompts[at : at + size] for at in range(0, len(prompts), size)]
    logger.info("data: %s, steps: %s", data, len(batches))
    lines = Lines(run, rundir.EVALUATIONS)
    done, reason = lines.go_on(), None
    rows = list(lines.read())
    sums = Sums(rows)
    for step, batch in enumerate(batches[done:], start=done + 1):
        started = time.monotonic()
        new = replies_to(batch, panel, config, run.seed)
        lines.append(new)
        rows += new
        sums.add(new)
        seconds = {"time/step": time.monotonic() - started}
        values = {"replies": len(rows), **sums.metrics(), **seconds}
        rundir.append_metric(run.folder, step=step, total=len(batches), values=values)
        done, reason = step, stop.reason()
        if step % config.checkpoint_steps == 0 or reason or step == len(batches):
            lines.checkpoint(step)
        if reason:
            break
    measured = {"replies": len(rows), **sums.metrics()}
    conclude(run, lines, rows, data, measured, done=done, total=len(batches), reason=reason)


def replies_to(
    prompts: Sequence[Prompt], panel: Panel, config: EvaluateConfig, seed: int
) -> list[Row]:
    """Every reply to some prompts, as lines of evaluations.jsonl: the policy's, then the others'.

    The baseline draws from streams of its own: with the policy's, two equal policies would tie in
    every pair, and two that are nearly equal nearly always.
    """
    asked = [(one, nth) for one in prompts for nth in range(config.replies_per_prompt)]
    seeds = [candidate_seed(seed, one.prompt_id, nth) for one, nth in asked]
    rows = _rows(panel, panel.policy, "policy", asked, seeds)
    if panel.baseline is None:
        return rows
    asked = [(one, nth) for one in prompts for nth in range(config.baseline_replies)]
    seeds = [stream_seed(seed, "baseline", one.prompt_id, nth) for one, nth in asked]
    others = _rows(panel, panel.baseline, "baseline", asked, seeds)
    if panel.judge is not None:
        _judge(prompts, rows, others, panel.judge, config.judged_pairs)
    return rows + others


def _rows(
    panel: Panel, model: Any, who: str, asked: Sequence[tuple[Prompt, int]], seeds: list[int]
) -> list[Row]:
    found = panel.reply(model, [one.ids for one, _ in asked], seeds)
    rows = []
    for (one, nth), seed, reply in zip(asked, seeds, found, strict=True):
        said = asdict(reply)
        if len(reply.rewards) == 1:
            del said["rewards"]
        rows.append({"prompt_id": one.prompt_id, "by": who, "candidate": nth, "seed": seed, **said})
    return rows


def _judge(
    prompts: Sequence[Prompt], rows: list[Row], others: list[Row], judge: AIJudge, pairs: int
) -> None:
    """Have replies of the same number compared; the verdict stands in the policy's line."""
    messages = {one.prompt_id: one.messages for one in prompts}
    against = {(row["prompt_id"], row["candidate"]): row for row in others}
    asked = [row for row in rows if row["candidate"] < pairs]
    rivals = [against[row["prompt_id"], row["candidate"]] for row in asked]
    verdicts = judge.compare(
        [
            Pair(messages=messages[row["prompt_id"]], one=row["text"], other=rival["text"])
            for row, rival in zip(asked, rivals, strict=True)
        ]
    )
    for row, rival, verdict in zip(asked, rivals, verdicts, strict=True):
        said = {**asdict(verdict), "against_tokens": rival["tokens"]} if verdict else None
        row["judged"] = said


def conclude(
    run: Run,
    lines: Lines,
    rows: list[Row],
    data: dict[str, Any],
    metrics: dict[str, float],
    *,
    done: int,
    total: int,
    reason: str | None,
) -> None:
    """Write the result: the report where every prompt was replied to."""
    complete = done == total
    extra: dict[str, Any] = {
        "samples": {"path": str(lines.path), "sha256": rundir.file_sha256(lines.path)},
        "reason": None if complete else reason,
    }
    if complete:
        extra["evaluation"] = report_of(rows)
    write_result(
        run,
        status="succeeded" if complete else "stopped",
        steps=done,
        total=total,
        metrics=metrics,
        data=data,
        extra=extra,
    )


if __name__ == "__main__":
    main()
