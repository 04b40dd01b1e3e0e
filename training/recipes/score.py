"""What each member of a reward model says of replies: `python -m training.recipes.score <folder>`.

Replies are sorted by length, so batches hold little padding. After each batch a checkpoint says
how much of scores.jsonl is whole; a run that goes on keeps that and repeats nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any, cast

from training import rundir
from training.configs import ScoreConfig
from training.recipes.data import Dropped, Encoder, Ids, read_rows
from training.recipes.loading import device_of, load_tokenizer, need_template
from training.recipes.replying import Lines
from training.recipes.running import (
    Run,
    StopSignal,
    logger,
    needed_reward,
    open_run,
    write_result,
)
from training.recipes.scoring import Scorer, load_judge

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply to score, as the ids of its prompt and itself."""

    candidate: str
    ids: Ids


def main(arguments: list[str] | None = None) -> None:
    """Score what the run asks for and leave it in scores.jsonl."""
    run = open_run("score", arguments)
    stop = StopSignal(run.folder)
    config = cast(ScoreConfig, run.config)
    scorer = _scorer(run, config)
    replies, data = read_replies(run, scorer.encoder, config.max_length)
    size = config.batch_size
    batches = [replies[at : at + size] for at in range(0, len(replies), size)]
    logger.info("data: %s, steps: %s", data, len(batches))
    lines = Lines(run, rundir.SCORES)
    done, reason = lines.go_on(), None
    sums = Sums(lines.read())
    for step, batch in enumerate(batches[done:], start=done + 1):
        started = time.monotonic()
        rows = _rows(scorer, batch)
        lines.append(rows)
        sums.add(rows)
        values = {**sums.metrics(), "time/step": time.monotonic() - started}
        rundir.append_metric(run.folder, step=step, total=len(batches), values=values)
        done, reason = step, stop.reason()
        if step % config.checkpoint_steps == 0 or reason or step == len(batches):
            lines.checkpoint(step)
        if reason:
            break
    complete = done == len(batches)
    scores = {"path": str(lines.path), "sha256": rundir.file_sha256(lines.path)}
    write_result(
        run,
        status="succeeded" if complete else "stopped",
        steps=done,
        total=len(batches),
        metrics=sums.metrics(),
        data=data,
        extra={"scores": scores, "reason": None if complete else reason},
    )


def _scorer(run: Run, config: ScoreConfig) -> Scorer:
    path = needed_reward(run)
    tokenizer = load_tokenizer(path)
    need_template(tokenizer, path)
    return load_judge(path, tokenizer, device=device_of(config), batch_size=config.batch_size)


def read_replies(run: Run, encoder: Encoder, longest: int) -> tuple[list[Reply], dict[str, Any]]:
    """Every reply of the run, short ones first, and what result.json says of the rows.

    Raises RunFolderError where none is left.
    """
    count, dropped = 0, Counter[str]()
    found: dict[str, Reply] = {}
    for row in read_rows(run.folder):
        count += 1
        name = row["candidate_id"]
        try:
            if name in found:
                raise Dropped("duplicate")
            head, tail = encoder.exchange(row["prompt"], row["completion"])
            if len(head) + len(tail) > longest:
                raise Dropped("too_long")
            found[name] = Reply(candidate=name, ids=head + tail)
        except Dropped as reason:
            dropped[str(reason)] += 1
    if not found:
        raise rundir.RunFolderError(f"No reply is left (left out: {dict(dropped)}).")
    ordered = sorted(found.values(), key=lambda one: (len(one.ids), one.candidate))
    return ordered, {"rows": count, "replies": len(found), "dropped": dict(dropped)}


def _rows(scorer: Scorer, batch: list[Reply]) -> list[Row]:
    """Return the lines of a batch: a score of each member, the first member's first."""
    each = zip(*scorer.score_each([one.ids for one in batch]), strict=True)
    return [
        {"candidate_id": one.candidate, "scores": list(scores)}
        for one, scores in zip(batch, each, strict=True)
    ]


class Sums:
    """Running means over the replies: the mean score, and how far the members lie apart."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._count, self._score, self._apart = 0, 0.0, 0.0
        self.add(rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Count some more lines of scores.jsonl."""
        for row in rows:
            self._count += 1
            self._score += fmean(row["scores"])
            self._apart += pstdev(row["scores"])

    def metrics(self) -> dict[str, float]:
        """Return how many replies are scored and the two means."""
        count = max(self._count, 1)
        return {
            "replies": self._count,
            "objective/scores": self._score / count,
            "disagreement": self._apart / count,
        }


if __name__ == "__main__":
    main()
