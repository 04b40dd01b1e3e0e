"""Rankings by an AI judge: `python -m training.recipes.judge <run folder>`.

Comparisons are sorted by length and judged some at a time. After each step a checkpoint says how
much of judgements.jsonl is whole; a run that goes on keeps that and repeats nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch

from labeling.domain.sentences import parts_of
from training import rundir
from training.configs import JudgeConfig
from training.endpoints.errors import EndpointError
from training.recipes.asking import Asker
from training.recipes.asking_outside import OutsideAsker, is_outside
from training.recipes.cases import Case, Row, case_of
from training.recipes.comparing import Comparer
from training.recipes.data import Dropped, read_rows
from training.recipes.loading import device_of, load_policy, load_tokenizer, need_template
from training.recipes.rating import Rater
from training.recipes.replying import Lines
from training.recipes.running import Run, StopSignal, logger, needed_model, open_run, write_result

Style = Comparer | Rater


class Sums:
    """What the judgements so far come to."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._counts: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.add(rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Count further lines of judgements.jsonl."""
        for row in rows:
            self._counts["comparisons"] += 1
            if row["left_out"]:
                self.left_out[row["left_out"]] += 1
                continue
            self._counts["judged"] += 1
            self._sums["mass"] += row["mass"]
            for pair in row["pairs"]:
                self._counts["pairs"] += 1
                self._sums["lean"] += pair["lean"]
                self._sums["sure"] += abs(2 * pair["soft"] - 1)
                self._counts["consistent"] += pair["consistent"]

    def metrics(self) -> dict[str, float]:
        """Counts, and means over what was judged; `judge/lean` is the position bias."""
        found: dict[str, float] = {
            "judge/comparisons": self._counts["comparisons"],
            "judge/judged": self._counts["judged"],
        }
        if judged := self._counts["judged"]:
            found["judge/mass"] = self._sums["mass"] / judged
        if pairs := self._counts["pairs"]:
            found |= {f"judge/{name}": self._sums[name] / pairs for name in ("lean", "sure")}
            found["judge/consistent"] = self._counts["consistent"] / pairs
        return found


def main(arguments: list[str] | None = None) -> None:
    """Judge the comparisons of the run and leave the rankings in judgements.jsonl."""
    run = open_run("judge", arguments)
    stop = StopSignal(run.folder)
    config = cast(JudgeConfig, run.config)
    style: type[Style] = Rater if config.style == "aspects" else Comparer
    asker = _asker(run, config, style)
    judge = style(asker, config, run.seed)
    cases = sorted(
        map(case_of, read_rows(run.folder)), key=lambda one: (one.size, one.comparison_id)
    )
    if not cases:
        raise rundir.RunFolderError("There is no comparison to judge.")
    batches = list(_batches(cases, judge, config.batch_size))
    logger.info("comparisons: %s, steps: %s", len(cases), len(batches))
    lines = Lines(run, rundir.JUDGEMENTS)
    done, reason, problem = lines.go_on(), None, None
    sums = Sums(lines.read())
    for step, batch in enumerate(batches[done:], start=done + 1):
        started = time.monotonic()
        problem = _write(lines, sums, judge, batch)
        values = {**sums.metrics(), "time/step": time.monotonic() - started}
        rundir.append_metric(run.folder, step=step, total=len(batches), values=values)
        if problem:
            reason = problem.args[0]
            if done % config.checkpoint_steps:  # else it was just written, or there is nothing
                lines.checkpoint(done)
            break
        done, reason = step, stop.reason()
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
        metrics=sums.metrics(),
        data={"rows": len(cases), "dropped": dict(sums.left_out)},
        extra={
            "samples": {"path": str(lines.path), "sha256": rundir.file_sha256(lines.path)},
            "reason": None if complete else reason,
            **({"endpoint_problem": _told(problem)} if problem else {}),
        },
    )
    asker.close()


def _write(lines: Lines, sums: Sums, judge: Style, batch: Sequence[Case]) -> EndpointError | None:
    """Judge a batch and write it down; returns why the server can't be asked any more, if so.

    What came before that is asked again when the run goes on: a batch is whole or not there.
    """
    try:
        rows = [_row(judge, case) for case in batch]
    except EndpointError as error:
        return error
    lines.append(rows)
    sums.add(rows)
    return None


def _told(problem: EndpointError) -> dict[str, Any]:
    sentence = problem.args[0]
    return {"code": problem.code, "sentence": sentence, "parts": parts_of(sentence)}


def _asker(run: Run, config: JudgeConfig, style: type[Style]) -> Asker | OutsideAsker:
    """Who is asked: a folder that names an endpoint has no weights to ask here."""
    if is_outside(run.folder):
        return OutsideAsker(run.folder, config, answers=style.answers)
    path = needed_model(run)
    tokenizer = load_tokenizer(path)
    need_template(tokenizer, path)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    model: Any = load_policy(path, tokenizer, dtype)
    model = model.to(device_of(config))
    return Asker(model, tokenizer, config, answers=style.answers, transition=style.transition)


def _batches(cases: Sequence[Case], judge: Style, size: int) -> Iterator[list[Case]]:
    """Comparisons that together take about `size` questions, and at least one of them."""
    batch: list[Case] = []
    asked = 0
    for case in cases:
        questions = judge.questions_of(case)
        if batch and asked + questions > size:
            yield batch
            batch, asked = [], 0
        batch.append(case)
        asked += questions
    yield batch


def _row(judge: Style, case: Case) -> dict[str, Any]:
    """A line of judgements.jsonl: the ranking, or why there is none."""
    head = {"comparison_id": case.comparison_id, "principle": case.principle, "left_out": None}
    try:
        return {**head, **judge.judge(case)}
    except Dropped as reason:
        return {**head, "left_out": str(reason)}


if __name__ == "__main__":
    main()
